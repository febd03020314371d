/* SPDX-License-Identifier: MIT */
/* The files below sql/, which tools/embed.py compiles into the library. */
#ifndef AWA_EMBEDDED_H
#define AWA_EMBEDDED_H

#include "sql_ids.h"

/* A file of sql/statements. Its name is prepared name, log label and metric label. */
struct awa__sql {
    const char *name; /* job_insert */
    const char *text; /* without the comment at its head */
    int nparams;
};

extern const struct awa__sql awa__sql_all[SQL_COUNT];

/* A file of sql/schema or sql/engine. */
struct awa__sql_file {
    int number;       /* schema: NNNN; engine: place in the order, from 1 */
    const char *name; /* 0001_storage.sql */
    const char *text;
    const char *checksum; /* sha256 of the text, in hex */
};

/* In the order to apply them; the last one has no name. */
extern const struct awa__sql_file awa__schema_files[];
extern const struct awa__sql_file awa__engine_files[];

/* Over names and checksums of all engine files. */
extern const char awa__engine_checksum[];

/* sql/bootstrap.sql */
extern const char awa__bootstrap[];

#endif

/* SPDX-License-Identifier: MIT */
/* The files below sql/, which tools/embed.py compiles into the library. */
#ifndef AWA_PG_EMBEDDED_H
#define AWA_PG_EMBEDDED_H

/*
 * A file of sql/statements. Its name is the name of the prepared statement and appears in messages.
 * Each folder there has one owner, and a table of its own, which statements_FOLDER.h declares; a
 * statement is a pointer into that table.
 */
struct awa__sql {
    const char *name; /* job_insert */
    const char *text; /* without the comment at its head */
    int nparams;
};

/* A file of sql/schema or sql/engine. */
struct awa__sql_file {
    int number;       /* schema: NNNN; engine: place in the order, from 1 */
    const char *name; /* 0001_storage.sql */
    const char *text;
    const char *checksum; /* sha256 of the text, in hex */
};

/* In the order in which they are applied; the last one has no name. */
extern const struct awa__sql_file awa__schema_files[];
extern const struct awa__sql_file awa__engine_files[];

/* A checksum over the names and checksums of all engine files. */
extern const char awa__engine_checksum[];

/* sql/bootstrap.sql */
extern const char awa__bootstrap[];

#endif

/* SPDX-License-Identifier: MIT */
/* awa version: prints the versions of awa, its schema and libpq. */
#include "cli/commands.h"
#include "cli/output.h"

static int
newest_schema(void)
{
    int n = 0;

    while (awa__schema_files[n].name != NULL)
        n++;
    return n;
}

int
cmd_version(struct call *call)
{
    int libpq = PQlibVersion();

    if (call_flag(call, "json"))
        printf("{\"awa\": \"%s\", \"schema\": %d, \"libpq\": \"%d.%d\"}\n", awa_version(),
               newest_schema(), libpq / 10000, libpq % 10000);
    else
        printf("awa %s, schema %d, libpq %d.%d\n", awa_version(), newest_schema(), libpq / 10000,
               libpq % 10000);
    return EXIT_DONE;
}

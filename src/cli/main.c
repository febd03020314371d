/* SPDX-License-Identifier: MIT */
/* The executable awa. */
#include <langinfo.h>
#include <locale.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"

/* All text is UTF-8, whatever the terminal's owner forgot to set. */
static void
use_utf8(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

/* What was printed has arrived, or the command has failed. */
static int
finish(int code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return code;
    fprintf(stderr, "awa: output: %m\n");
    return code == EXIT_DONE ? EXIT_FAILED : code;
}

int
main(int argc, char **argv)
{
    use_utf8();
    return finish(command_main(&awa_command, argc, argv));
}

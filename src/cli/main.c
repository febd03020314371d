/* SPDX-License-Identifier: MIT */
/* The executable awa. */
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "pg/interrupt.h"

/*
 * If the caller has closed a standard descriptor, the next file or socket would get its number, and
 * our messages. So /dev/null takes it: reading from it ends at once, writing to it fails.
 */
static void
hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", O_RDONLY);
}

/* All text is UTF-8, also if the locale says otherwise. */
static void
use_utf8(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

/* If the output could not be written, the command has failed. After a signal, we end by it. */
static int
finish(int code)
{
    if (interrupt_signal() != 0) {
        (void)fflush(stdout);
        interrupt_leave(interrupt_signal());
    }
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return code;
    fprintf(stderr, "awa: output: %m\n");
    return code == EXIT_DONE ? EXIT_FAILED : code;
}

int
main(int argc, char **argv)
{
    hold_standard_descriptors();
    use_utf8();
    interrupt_begin();
    return finish(command_main(&awa_command, argc, argv));
}

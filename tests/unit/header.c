/* SPDX-License-Identifier: MIT */
/* awa.h as a user sees it: alone, as pedantic C99, every macro expanded once. */
#include <awa/awa.h>

#include <stdio.h>

static const char *const texts[] = {
#define X(name, text) text,
    AWA_STATUS_MAP(X)
#undef X
};

AWA_API int exported(void);
AWA_CHECKED static int checked(void);

int
exported(void)
{
    return 1;
}

static int
checked(void)
{
    return 1;
}

int
main(void)
{
    const awa_job_options *job = AWA_JOB(.kind = "mail", .priority = 1);
    const awa_worker_options *worker = AWA_WORKER(.name = "w", .threads = 2);
    const awa_bulk_options *bulk = AWA_BULK(.kind = "mail", .all = 1);
    int good = job->size == sizeof *job && worker->size == sizeof *worker &&
               bulk->size == sizeof *bulk && AWA_VERSION[0] != 0 &&
               sizeof texts / sizeof texts[0] == AWA_ESYS + 1 && texts[0][0] != 0 && exported() &&
               checked();

    printf("%d passed, %d failed\n", good, !good);
    return !good;
}

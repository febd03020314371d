/* SPDX-License-Identifier: MIT */
/* awa.h as C++11. */
#include <awa/awa.h>

#include <cstdio>

int
main()
{
    awa_job_options job = {};
    awa_worker_options worker = {};
    awa_error err = {};

    job.size = sizeof job;
    worker.size = sizeof worker;
    bool good = awa_version()[0] != '\0' && job.size > 0 && worker.size > 0 && err.status == AWA_OK;
    std::printf("%d passed, %d failed\n", good, !good);
    return !good;
}

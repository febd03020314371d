/* SPDX-License-Identifier: MIT */
/* replay FOLDER: gives each file in it to a fuzz target, whole and cut off everywhere. */
#include <dirent.h>
#include <string.h>

#include "fuzz.h"

enum {
    FILE_MAX = 1024 * 1024,
    CUTS_MAX = 2000, /* a longer file is cut off at so many places */
};

/* In memory of exactly that size, so that a sanitizer sees who reads on. */
static void
give(const uint8_t *data, size_t size)
{
    AUTO(free) uint8_t *copy = malloc(size > 0 ? size : 1);

    REQUIRE(copy != NULL);
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
}

static void
give_file(const char *folder, const char *name)
{
    AUTO(free) uint8_t *data = malloc(FILE_MAX);
    AUTO(free) char *path = NULL;
    AUTO(file) FILE *file = NULL;
    size_t size;

    REQUIRE(data != NULL && asprintf(&path, "%s/%s", folder, name) > 0);
    dprintf(STDERR_FILENO, "%s\n", path); /* so that the last line tells which one is bad */
    file = fopen(path, "re");
    REQUIRE(file != NULL);
    size = fread(data, 1, FILE_MAX, file);
    REQUIRE(size < FILE_MAX && ferror(file) == 0);
    give(data, size);
    for (size_t cut = 0; cut < size; cut += 1 + size / CUTS_MAX)
        give(data, cut);
}

int
main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    int files = 0;

    REQUIRE(folder != NULL);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.') {
            give_file(argv[1], entry->d_name);
            files++;
        }
    (void)closedir(folder);
    dprintf(STDOUT_FILENO, "%d passed, %d failed\n", files, files == 0);
    return files == 0;
}

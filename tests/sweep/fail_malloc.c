/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD: one allocation of a program fails, or all from one on. They are counted from the
 * beginning of main() to its end, in all threads, those of the libraries included.
 *
 * AWA_FAIL_AT=N, or N+ for all from there on; 0: none. AWA_FAIL_COUNT=FILE gets the number of
 * allocations. What the program starts knows nothing of this.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef int main_function(int argc, char **argv, char **env);

int __libc_start_main(main_function *program, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

static main_function *real_main;
static atomic_bool counting;
static atomic_long count;
static long fail_at;
static bool forever;
static char count_file[200];

/* dlsym() itself allocates only if it fails. */
#define NEXT(name)                                              \
    ({                                                          \
        static __typeof__(&name) next_;                         \
        if (next_ == NULL)                                      \
            next_ = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
        next_;                                                  \
    })

static bool
is_refused(void)
{
    long n;

    if (!atomic_load(&counting))
        return false;
    n = atomic_fetch_add(&count, 1) + 1;
    if (fail_at == 0 || n < fail_at || (n > fail_at && !forever))
        return false;
    errno = ENOMEM;
    return true;
}

void *
malloc(size_t size)
{
    return is_refused() ? NULL : NEXT(malloc)(size);
}

void *
calloc(size_t n, size_t size)
{
    return is_refused() ? NULL : NEXT(calloc)(n, size);
}

void *
realloc(void *old, size_t size)
{
    return is_refused() ? NULL : NEXT(realloc)(old, size);
}

static void
read_settings(void)
{
    const char *at = getenv("AWA_FAIL_AT"), *file = getenv("AWA_FAIL_COUNT");
    char *end = NULL;

    if (at != NULL)
        fail_at = strtol(at, &end, 10);
    forever = at != NULL && *end == '+';
    if (file != NULL)
        snprintf(count_file, sizeof count_file, "%s", file);
    unsetenv("LD_PRELOAD");
    unsetenv("AWA_FAIL_AT");
    unsetenv("AWA_FAIL_COUNT");
}

/* Programs end in main() or by exit(). */
__attribute__((destructor)) static void
write_count(void)
{
    int fd = count_file[0] != '\0' ? open(count_file, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;

    if (fd < 0)
        return;
    dprintf(fd, "%ld\n", atomic_load(&count));
    (void)close(fd);
}

static int
counted_main(int argc, char **argv, char **env)
{
    int code;

    read_settings();
    atomic_store(&counting, true);
    code = real_main(argc, argv, env);
    atomic_store(&counting, false);
    return code;
}

int
__libc_start_main(main_function *program, int argc, char **argv, void (*init)(void),
                  void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    real_main = program;
    return NEXT(__libc_start_main)(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}

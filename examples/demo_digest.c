/* SPDX-License-Identifier: MIT */
/* The work of a job: computes SHA-256, size, and size when packed by zlib, of one file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <zlib.h>

#include "demo.h"

enum { PIECE = 64 * 1024 };

/* Packs a piece. Only the size of the result counts, so the bytes are dropped. */
static int
pack(z_stream *z, unsigned char *piece, size_t len, int flush)
{
    unsigned char out[PIECE];

    z->next_in = piece;
    z->avail_in = (uInt)len;
    do {
        z->next_out = out;
        z->avail_out = sizeof out;
        if (deflate(z, flush) == Z_STREAM_ERROR)
            return EIO;
    } while (z->avail_out == 0);
    return 0;
}

static int
read_all(int fd, EVP_MD_CTX *sha, z_stream *z)
{
    unsigned char piece[PIECE];

    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        int error;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n > 0 && EVP_DigestUpdate(sha, piece, (size_t)n) != 1)
            return EIO;
        error = pack(z, piece, (size_t)n, n > 0 ? Z_NO_FLUSH : Z_FINISH);
        if (error != 0 || n == 0)
            return error;
    }
}

static int
digest_fd(int fd, EVP_MD_CTX *sha, struct digest *ret)
{
    unsigned char hash[32];
    z_stream z = { 0 };
    int error;

    if (sha == NULL || EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1 ||
        deflateInit(&z, Z_DEFAULT_COMPRESSION) != Z_OK)
        return ENOMEM;
    error = read_all(fd, sha, &z);
    ret->bytes = (int64_t)z.total_in;
    ret->packed = (int64_t)z.total_out;
    (void)deflateEnd(&z);
    if (error == 0 && EVP_DigestFinal_ex(sha, hash, NULL) != 1)
        error = EIO;
    for (size_t i = 0; i < sizeof hash && error == 0; i++)
        snprintf(&ret->sha256[2 * i], 3, "%02x", hash[i]);
    return error;
}

int
digest_file(const char *path, struct digest *ret)
{
    /* O_NONBLOCK, because a pipe may have taken the file's place. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    EVP_MD_CTX *sha;
    int error;

    if (fd < 0)
        return errno;
    sha = EVP_MD_CTX_new();
    error = digest_fd(fd, sha, ret);
    EVP_MD_CTX_free(sha);
    (void)close(fd);
    return error;
}

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fetch_postgres.py MAJOR CACHE: prints the folder of that PostgreSQL's server programs.

They come from npm packages that have nothing else, through npm as it is configured. A package is
used only if its hash is the one below. It is fetched once for each CACHE. For a new minor release,
look up `npm view PACKAGE@VERSION dist.integrity` and replace the row.
"""
import base64
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

PACKAGES = {
    ("16", "x64"): ("16.14.0-beta.17", "sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg=="),
    ("16", "arm64"): ("16.14.0-beta.17", "sha512-LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ=="),
    ("17", "x64"): ("17.10.0-beta.17", "sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg=="),
    ("17", "arm64"): ("17.10.0-beta.17", "sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig=="),
    ("18", "x64"): ("18.4.0-beta.17", "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="),
    ("18", "arm64"): ("18.4.0-beta.17", "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg=="),
}
MACHINES = {"x86_64": "x64", "aarch64": "arm64"}
PROGRAMS = ["initdb", "postgres"]


class Failure(Exception):
    pass


def download(package, folder):
    """Downloads a package. Returns the path of its file in folder."""
    done = subprocess.run(
        ["npm", "pack", "--json", "--loglevel=error", "--pack-destination", folder, package],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )
    if done.returncode != 0:
        raise Failure(f"npm pack {package}: {done.stderr.strip() or done.stdout.strip()}")
    # Some versions of npm report a name that has the scope, unlike the name of the file.
    name = json.loads(done.stdout)[0]["filename"].replace("@", "").replace("/", "-")
    return os.path.join(folder, name)


def verify(path, integrity):
    with open(path, "rb") as file:
        digest = hashlib.sha512(file.read()).digest()
    found = "sha512-" + base64.b64encode(digest).decode()
    if found != integrity:
        raise Failure(f"{os.path.basename(path)}: want {integrity}, got {found}")


def inside(folder, path):
    """Joins folder and path, which must not lead out of folder."""
    joined = os.path.normpath(os.path.join(folder, path))
    if not joined.startswith(folder + os.sep):
        raise Failure(f"{path}: leaves the package")
    return joined


def unpack(path, folder):
    """Unpacks regular files, and no others."""
    with tarfile.open(path) as archive:
        for member in archive:
            if not member.isfile():
                continue
            target = inside(folder, member.name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with archive.extractfile(member) as source, open(target, "wb") as copy:
                shutil.copyfileobj(source, copy)


def link(root):
    """Makes the symbolic links. An npm package cannot have them; this one lists them in a file."""
    with open(os.path.join(root, "native", "pg-symlinks.json"), encoding="utf-8") as file:
        links = json.load(file)
    for one in links:
        target = inside(root, one["target"])
        source = inside(root, one["source"])
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(os.path.relpath(source, os.path.dirname(target)), target)


def open_to_all(root):
    """Makes all files readable for all users, because the server runs as another user."""
    for folder, _, names in os.walk(root):
        os.chmod(folder, 0o755)
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755 if os.path.basename(folder) == "bin" else 0o644)


def check(bindir, major):
    for program in PROGRAMS:
        done = subprocess.run([os.path.join(bindir, program), "--version"],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0 or not re.search(rf"\b{major}\.", done.stdout):
            raise Failure(f"{program}: does not run here: {done.stderr.strip()}")


def fetch(major, cache):
    machine = MACHINES.get(platform.machine(), platform.machine())
    if (major, machine) not in PACKAGES:
        known = sorted({m for m, _ in PACKAGES})
        raise Failure(f"no PostgreSQL {major} for {machine}; there are {', '.join(known)}")
    version, integrity = PACKAGES[major, machine]
    final = os.path.join(cache, f"postgres-{version}-{machine}")
    bindir = os.path.join(final, "native", "bin")
    if os.path.isdir(final):
        return bindir

    os.makedirs(cache, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        print(f"fetching PostgreSQL {version} ...", file=sys.stderr)
        file = download(f"@embedded-postgres/linux-{machine}@{version}", work)
        verify(file, integrity)
        unpack(file, work)
        root = os.path.join(work, "package")
        link(root)
        open_to_all(root)
        check(os.path.join(root, "native", "bin"), major)
        try:
            os.rename(root, final)
        except OSError:
            if not os.path.isdir(final):  # another run was faster
                raise
    return bindir


def main():
    try:
        print(fetch(sys.argv[1], os.path.abspath(sys.argv[2])))
    except Failure as failure:
        sys.exit(f"fetch_postgres: {failure}")


main()

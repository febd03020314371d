#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the floors of this code: a file may need files of its own folder and of folders below it,
but none of a folder above; and no files need each other in a circle. docs/map.md draws the floors.

tools/embed.py uses this for the engine's SQL in each build. As a program it checks the C files:

usage: floors.py SRC ARCHIVE...

SRC is the folder src, each ARCHIVE a static library that was built from it. Includes and calls must
not go up; calls must not go in a circle. (Two files may include each other's headers, for types.)
"""
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

# From the lowest floor up.
ENGINE = ("base", "storage", "jobs", "maintenance", "operator")
SRC = ("base", "pg", "api", "lib", "worker", "run", "bench", "cli")

# Files and folders that may use only awa.h, src/base and each other. They show that the public API
# is enough.
CLIENTS = ("run/", "worker/pool")

# Comments and strings: a name in these is no call.
SQL_PROSE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
SQL_OBJECT = re.compile(r"^CREATE OR REPLACE (?:FUNCTION|VIEW) awa\.(\w+)", re.MULTILINE)


class Broken(Exception):
    """An arrow goes up, or a circle was found; the text names both ends."""


class Arrow(NamedTuple):
    """One file needs another: `user`, in the file `file`, uses `used`, in the file `home`."""

    file: str
    user: str
    used: str
    home: str

    def __str__(self):
        return f"{self.file}: {self.user} uses {self.used} of {self.home}"


def sql_arrows(texts):
    """The calls between files. texts: the text of each file, by its name."""
    objects = []  # (file, name, text of the object)
    for file, text in texts.items():
        found = list(SQL_OBJECT.finditer(text))
        ends = [m.start() for m in found[1:]] + [len(text)]
        objects += [(file, m[1], text[m.start() : end]) for m, end in zip(found, ends)]
    home = {name: file for file, name, _ in objects}
    return [
        Arrow(file, f"awa.{name}", f"awa.{used}", home[used])
        for file, name, text in objects
        for used in sorted(set(re.findall(r"\bawa\.(\w+)", SQL_PROSE.sub(" ", text))))
        if used in home and home[used] != file
    ]


INCLUDE = re.compile(r'^#include "(?:(\w+/\w+)\.h|statements_(\w+)\.h)"', re.MULTILINE)


def c_includes(src):
    """The includes between files. A file is a pair of .c and .h, such as lib/insert."""
    arrows = []
    for path in sorted(src.glob("*/*.[ch]")):
        file = str(path.relative_to(src).with_suffix(""))
        for header, owner in INCLUDE.findall(path.read_text(encoding="utf-8")):
            home = header or f"{owner}/statements"
            if home != file:
                arrows.append(Arrow(file, path.name, f"{home}.h", home))
    return arrows


def file_of(member):
    """The file from which a member of an archive was made: src_lib_insert.c.o is lib/insert."""
    generated = re.search(r"statements_(\w+)\.c\.o$", member)
    if generated:
        return f"{generated[1]}/statements"
    made = re.search(r"src_([a-z]+)_(\w+)\.c\.o$", member)
    return f"{made[1]}/{made[2]}" if made else "pg/embedded"


def c_calls(archives):
    """The symbols that files need of each other."""
    home, needs_symbol = {}, []
    for archive in archives:
        names = subprocess.run(["nm", "-A", archive], check=True, capture_output=True, text=True)
        for line in names.stdout.splitlines():
            member, symbol = line.split(":")[1], line.split()[-2:]
            if symbol[0] == "U":
                needs_symbol.append((file_of(member), symbol[1]))
            elif symbol[0] in "TDBR":
                home[symbol[1]] = file_of(member)
    return [
        Arrow(file, "it", symbol, home[symbol])
        for file, symbol in needs_symbol
        if home.get(symbol, file) != file
    ]


def is_for_clients(arrow):
    """Whether a client may use it: of the public API, of src/base, or of another client."""
    public = arrow.used.startswith("awa_") and not arrow.used.startswith("awa__")
    return public or arrow.home.startswith("base/") or arrow.home.startswith(CLIENTS)


def floor_of(file, folders):
    return folders.index(file.split("/")[0])


def in_order(files, arrows, folders):
    """Sorts files, each after those that it needs. Raises Broken if there is no such order."""
    for arrow in arrows:
        if floor_of(arrow.home, folders) > floor_of(arrow.file, folders):
            raise Broken(f"{arrow}, which is on a floor above it")
        if arrow.file.startswith(CLIENTS) and not is_for_clients(arrow):
            raise Broken(f"{arrow}, but may use awa.h only")
    order = []
    left = sorted(files, key=lambda file: (floor_of(file, folders), file))
    while left:
        file = next((f for f in left if not needs(f, arrows, left)), None)
        if file is None:
            raise Broken("a circle: " + "; ".join(str(a) for a in circle(left, arrows)))
        order.append(file)
        left.remove(file)
    return order


def needs(file, arrows, among):
    return [a for a in arrows if a.file == file and a.home in among]


def circle(left, arrows):
    """The arrows of a circle. There is one, because each file of `left` needs another of them."""
    path = []
    file = left[0]
    while file not in [a.file for a in path]:
        path.append(needs(file, arrows, left)[0])
        file = path[-1].home
    return path[[a.file for a in path].index(file) :]


def main():
    src, archives = pathlib.Path(sys.argv[1]), sys.argv[2:]
    calls = c_calls(archives)
    files = {str(p.relative_to(src).with_suffix("")) for p in src.glob("*/*.[ch]")}
    files |= {arrow.home for arrow in calls}
    try:
        for arrow in c_includes(src):
            in_order({arrow.file, arrow.home}, [arrow], SRC)
        in_order(files, calls, SRC)
    except Broken as broken:
        sys.exit(f"floors: {broken}")


if __name__ == "__main__":
    main()

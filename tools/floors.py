#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The floors of this code: a file may need files of its own folder and of folders below it, none
of a folder above; and no files need each other in a circle. docs/map.md draws them.

tools/embed.py asks this for the engine's SQL at each build.
"""
import re
from typing import NamedTuple

# From the lowest floor up.
ENGINE = ("base", "storage", "jobs", "maintenance", "operator")

# Comments and strings: what stands there is not called.
SQL_PROSE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
SQL_OBJECT = re.compile(r"^CREATE OR REPLACE (?:FUNCTION|VIEW) awa\.(\w+)", re.MULTILINE)


class Broken(Exception):
    """An arrow that goes up, or a circle; the text names both ends."""


class Arrow(NamedTuple):
    """One file needs another: user, in the file `file`, uses `used`, whose home is `home`."""

    file: str
    user: str
    used: str
    home: str

    def __str__(self):
        return f"{self.file}: {self.user} uses {self.used} of {self.home}"


def sql_arrows(texts):
    """Who calls whom, between files. texts: the text of each file, by its name."""
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


def floor_of(file, folders):
    return folders.index(file.split("/")[0])


def in_order(files, arrows, folders):
    """The files, each after all that it needs; raises Broken if there is no such order."""
    for arrow in arrows:
        if floor_of(arrow.home, folders) > floor_of(arrow.file, folders):
            raise Broken(f"{arrow}, which is on a floor above it")
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
    """Arrows from a file back to itself; each file of `left` needs another one of them."""
    path = []
    file = left[0]
    while file not in [a.file for a in path]:
        path.append(needs(file, arrows, left)[0])
        file = path[-1].home
    return path[[a.file for a in path].index(file) :]

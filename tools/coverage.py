#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints which lines ran and which did not, by file, and how many percent ran, by folder.

usage: coverage.py ROOT BUILD

BUILD was made with gcc's --coverage, and its programs have run. Fails if a folder of WANTED has a
smaller part of its lines covered than listed. A process writes its counts when it ends by itself:
one that was killed does not count, nor a child between fork() and exec().
"""
import collections
import json
import pathlib
import subprocess
import sys

WANTED = {"src/lib": 0.9, "src/worker": 0.9}


def measure(root, build):
    """{file: {line: count}} of all sources below src."""
    out = build / "coverage.json"
    subprocess.run(["gcovr", "--root", root, "--filter", f"{root}/src/", "--json", out, build],
                   check=True)
    files = json.loads(out.read_text(encoding="utf-8"))["files"]
    return {f["file"]: {line["line_number"]: line["count"] for line in f["lines"]
                        if not line.get("gcovr/noncode")} for f in files}


def ranges(numbers):
    """Writes [1, 2, 3, 7] as 1-3,7."""
    parts = []
    for n in numbers:
        if parts and parts[-1][1] == n - 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def main():
    root, build = map(pathlib.Path, sys.argv[1:3])
    lines = measure(root, build)
    folders = collections.defaultdict(lambda: [0, 0])
    for name, counts in sorted(lines.items()):
        covered = sum(count > 0 for count in counts.values())
        folder = folders[str(pathlib.PurePath(name).parent)]
        folder[0] += covered
        folder[1] += len(counts)
        missed = ranges(sorted(n for n, count in counts.items() if count == 0))
        print(f"{covered:5} of {len(counts):5}  {name}  {missed}")
    print()
    missing = False
    for name, (covered, total) in sorted(folders.items()):
        wanted = WANTED.get(name, 0)
        missing |= covered < wanted * total
        print(f"{100 * covered / total:5.1f} %  {name}"
              f"{f'  (want {100 * wanted:.0f} %)' if covered < wanted * total else ''}")
    sys.exit(missing)


if __name__ == "__main__":
    main()

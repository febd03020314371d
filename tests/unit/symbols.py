#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shared library exports what awa.h declares: no more, no less. Arguments: library, header."""
import re
import subprocess
import sys


def exported(library):
    command = ["nm", "-D", "--defined-only", library]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    return {line.split()[2] for line in lines if line}


def declared(header):
    """The functions: what stands before a parenthesis in a declaration that is no type."""
    with open(header, encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*$", "", text, flags=re.MULTILINE)
    prototypes = [part for part in text.split(";") if "typedef" not in part]
    found = [re.search(r"\b(awa_\w+)\s*\(", part) for part in prototypes]
    return {match[1] for match in found if match}


def main():
    have, want = exported(sys.argv[1]), declared(sys.argv[2])
    for name in sorted(have - want):
        print(f"exported, but not in awa.h: {name}")
    for name in sorted(want - have):
        print(f"in awa.h, but not exported: {name}")
    failed = have != want or len(want) == 0
    print(f"{int(not failed)} passed, {int(failed)} failed")
    sys.exit(failed)


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The libraries export what awa.h declares: no more, no less. Arguments: header, libraries."""
import re
import subprocess
import sys


def exported(library):
    command = ["nm", "-g" if library.endswith(".a") else "-D", "--defined-only", library]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    return {line.split()[2] for line in lines if len(line.split()) == 3}


def declared(header):
    """The functions: what stands before a parenthesis in a declaration that is no type."""
    with open(header, encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*$", "", text, flags=re.MULTILINE)
    prototypes = [part for part in text.split(";") if "typedef" not in part]
    found = [re.search(r"\b(awa_\w+)\s*\(", part) for part in prototypes]
    return {match[1] for match in found if match}


def compare(library, want):
    have = exported(library)
    for name in sorted(have - want):
        print(f"{library}: exported, but not in awa.h: {name}")
    for name in sorted(want - have):
        print(f"{library}: in awa.h, but not exported: {name}")
    return have == want


def main():
    want = declared(sys.argv[1])
    passed = [compare(library, want) and len(want) > 0 for library in sys.argv[2:]]
    print(f"{passed.count(True)} passed, {passed.count(False)} failed")
    sys.exit(not all(passed))


main()

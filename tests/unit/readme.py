#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The C example of the README is the file that is built and run, below the comment at its head.

Arguments: README.md, quickstart.c."""
import re
import sys


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def main():
    blocks = re.findall(r"^```c\n(.*?)^```$", read(sys.argv[1]), re.MULTILINE | re.DOTALL)
    program = re.sub(r"\A(?:/\*[^\n]*\*/\n)+", "", read(sys.argv[2]))
    same = blocks == [program]
    if not same:
        print(f"{sys.argv[1]}: want one block of C, the text of {sys.argv[2]}")
    print(f"{int(same)} passed, {int(not same)} failed")
    sys.exit(not same)


main()

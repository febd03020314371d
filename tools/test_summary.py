#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads meson's testlog.json; prints the output of what failed; ends with `N passed, N failed`.

A program that reports no failure, but crashed, ran out of time or did not print its last line,
counts as one failure.
"""
import json
import re
import sys

LAST_LINE = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)


def read_results(path):
    try:
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


def count(result):
    """(passed, failed) of one program."""
    lines = LAST_LINE.findall(result.get("stdout", ""))
    passed, failed = map(int, lines[-1]) if lines else (0, 0)
    if failed == 0 and (not lines or result["result"] != "OK"):
        failed = 1
    return passed, failed


def show(result):
    print(f"\n==== {result['name']}: {result['result']}, exit code {result['returncode']}")
    print(result.get("stdout", "").rstrip())
    print(result.get("stderr", "").rstrip())


def main():
    results = read_results(sys.argv[1])
    counts = [count(result) for result in results]
    for result, (_, failed) in zip(results, counts):
        if failed > 0:
            show(result)
    unseen = int(sys.argv[2]) - len(results)  # programs that did not run at all
    passed = sum(p for p, _ in counts)
    failed = sum(f for _, f in counts) + max(unseen, 0)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()

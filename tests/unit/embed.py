#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/embed.py refuses what would only fail later. Argument: the path of embed.py."""
import os
import subprocess
import sys
import tempfile

GOOD = {
    "bootstrap.sql": "-- ledger\nSELECT 1;\n",
    "schema/0001_first.sql": "-- tables\nCREATE TABLE a ();\n",
    "engine/close.sql": "-- requires: lane\n-- closes\nSELECT 2;\n",
    "engine/lane.sql": "-- lanes\nSELECT 'a \"quoted\" \\ text\t';\n",
    "statements/job_get.sql": "-- SPDX\n-- Job $1.\nSELECT $1::bigint, '$7', $$ $9 $$ -- $8\n",
}

# What to change in GOOD, and a part of the message; None: it must be accepted.
CASES = {
    "good files are embedded": ({}, None),
    "empty folders are embedded": (dict.fromkeys(k for k in GOOD if "/" in k), None),
    "a statement without a comment is refused": (
        {"statements/job_get.sql": "-- SPDX-License-Identifier: MIT\nSELECT 1\n"},
        "wants a comment",
    ),
    "a statement without a statement is refused": (
        {"statements/job_get.sql": "-- Nothing.\n"},
        "is empty",
    ),
    "a gap in the parameters is refused": (
        {"statements/job_get.sql": "-- Job.\nSELECT $1, $3\n"},
        "uses $3 but not $2",
    ),
    "a parameter in a string does not fill a gap": (
        {"statements/job_get.sql": "-- Job.\nSELECT $1, '$2', $3\n"},
        "uses $3 but not $2",
    ),
    "a statement with a strange name is refused": (
        {"statements/Job-get.sql": "-- Job.\nSELECT 1\n"},
        "want noun_verb.sql",
    ),
    "a gap in the schema is refused": (
        {"schema/0003_third.sql": "-- t\nSELECT 1;\n"},
        "the next number is 0002",
    ),
    "two schema files with one number are refused": (
        {"schema/0001_other.sql": "-- t\nSELECT 1;\n"},
        "the next number is 0002",
    ),
    "a schema file without a number is refused": (
        {"schema/first.sql": "-- t\nSELECT 1;\n"},
        "want NNNN_words.sql",
    ),
    "an engine file that requires nothing real is refused": (
        {"engine/lane.sql": "-- requires: moon\nSELECT 1;\n"},
        "moon, which is not there",
    ),
    "engine files in a circle are refused": (
        {"engine/lane.sql": "-- requires: close\nSELECT 1;\n"},
        "which requires it",
    ),
    "a missing bootstrap is refused": ({"bootstrap.sql": None}, "bootstrap.sql"),
    "a NUL is refused": ({"engine/lane.sql": "-- a\0b\n"}, "NUL"),
}


def write(folder, files):
    for kind in ("schema", "engine", "statements"):
        os.makedirs(f"{folder}/sql/{kind}")
    for path, text in files.items():
        if text is not None:
            with open(f"{folder}/sql/{path}", "w", encoding="utf-8") as file:
                file.write(text)


def embed(folder):
    command = [sys.executable, sys.argv[1], f"{folder}/sql", f"{folder}/ids.h", f"{folder}/e.c"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def case_passes(changes, message):
    with tempfile.TemporaryDirectory() as folder:
        write(folder, {**GOOD, **changes})
        result = embed(folder)
        if message is None:
            return result.returncode == 0
        return result.returncode == 1 and message in result.stderr


def output_is_right():
    """One parameter is counted, the required file comes first, text survives as it is."""
    with tempfile.TemporaryDirectory() as folder:
        write(folder, GOOD)
        embed(folder)
        with open(f"{folder}/e.c", encoding="utf-8") as file:
            text = file.read()
        with open(f"{folder}/ids.h", encoding="utf-8") as file:
            ids = file.read()
    return (
        "SQL_JOB_GET,\n    SQL_COUNT,\n" in ids
        and '.name = "job_get", .nparams = 1' in text
        and text.index('"lane.sql"') < text.index('"close.sql"')
        and r'"SELECT \'a \"quoted\" \\ text\t\';\n"'.replace(r"\'", "'") in text
    )


def main():
    results = {name: case_passes(*case) for name, case in CASES.items()}
    results["the output is right"] = output_is_right()
    failed = [name for name, passed in results.items() if not passed]
    for name in failed:
        print(f"FAILED: {name}")
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/embed.py refuses what would only fail later. Argument: the path of embed.py."""
import os
import re
import subprocess
import sys
import tempfile

GOOD_DOORS = '-- doors\n    "hot": "",\n    (\'close\', \'hot\', NULL),\n'
GOOD = {
    "bootstrap.sql": "-- ledger\nSELECT 1;\n",
    "schema/0001_first.sql": "-- tables\nCREATE TABLE a ();\n",
    "engine/jobs/close.sql": "-- closes\n-- Door: hot.\n"
    "CREATE OR REPLACE FUNCTION awa.close() ... awa.open();\n",
    "engine/jobs/open.sql": "-- opens\nCREATE OR REPLACE FUNCTION awa.open() ... awa.lane();\n",
    "engine/storage/lane.sql": "-- lanes, unlike awa.close()\n"
    "CREATE OR REPLACE FUNCTION awa.lane() ... 'a \"quoted\" \\ text\t for awa.close()';\n",
    "engine/doors.sql": GOOD_DOORS,
    "statements/api/job_get.sql": "-- SPDX\n-- Job $1.\nSELECT $1::bigint, '$7', $$ $9 $$ -- $8\n",
}

# What to change in GOOD, and a part of the message; None: it must be accepted.
CASES = {
    "good files are embedded": ({}, None),
    "empty folders are embedded": (
        {**dict.fromkeys(k for k in GOOD if "/" in k), "engine/doors.sql": "-- none\n"},
        None,
    ),
    "a statement without a comment is refused": (
        {"statements/api/job_get.sql": "-- SPDX-License-Identifier: MIT\nSELECT 1\n"},
        "wants a comment",
    ),
    "a statement without a statement is refused": (
        {"statements/api/job_get.sql": "-- Nothing.\n"},
        "is empty",
    ),
    "a gap in the parameters is refused": (
        {"statements/api/job_get.sql": "-- Job.\nSELECT $1, $3\n"},
        "uses $3 but not $2",
    ),
    "a parameter in a string does not fill a gap": (
        {"statements/api/job_get.sql": "-- Job.\nSELECT $1, '$2', $3\n"},
        "uses $3 but not $2",
    ),
    "a statement with a strange name is refused": (
        {"statements/api/Job-get.sql": "-- Job.\nSELECT 1\n"},
        "want noun_verb.sql",
    ),
    "two statements of one name are refused": (
        {"statements/lib/job_get.sql": "-- Job $1.\nSELECT $1\n"},
        "statements/api/job_get.sql: lib has one of this name",
    ),
    "a statement without an owner is refused": (
        {"statements/job_get.sql": "-- Job $1.\nSELECT $1\n"},
        "statements/job_get.sql: want one of the folders pg, lib, ",
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
    "a call of a function on a floor above is refused": (
        {"engine/storage/lane.sql": "CREATE OR REPLACE FUNCTION awa.lane() ... awa.close();\n"},
        "storage/lane.sql: awa.lane uses awa.close of jobs/close.sql, which is on a floor above it",
    ),
    "a view of a floor above is refused": (
        {
            "engine/jobs/view.sql": "CREATE OR REPLACE VIEW awa.jobs AS SELECT 1;\n",
            "engine/storage/lane.sql": "CREATE OR REPLACE FUNCTION awa.lane() FROM awa.jobs;\n",
        },
        "storage/lane.sql: awa.lane uses awa.jobs of jobs/view.sql",
    ),
    "engine files in a circle are refused": (
        {"engine/jobs/open.sql": "CREATE OR REPLACE FUNCTION awa.open() ... awa.close();\n"},
        "a circle: jobs/close.sql: awa.close uses awa.open of jobs/open.sql;"
        " jobs/open.sql: awa.open uses awa.close of jobs/close.sql",
    ),
    "an engine file outside the floors is refused": (
        {"engine/more.sql": "-- more\nSELECT 1;\n"},
        "engine/more.sql: want one of the folders base, ",
    ),
    "an engine without doors is refused": ({"engine/doors.sql": None}, "doors.sql"),
    "a door whose comment says nothing is refused": (
        {"engine/doors.sql": GOOD_DOORS + "    ('open', 'hot', NULL),\n"},
        "awa.open: doors.sql says hot, the comment at its head says inlined",
    ),
    "a comment about a door that is none is refused": (
        {"engine/doors.sql": '-- none\n    "hot": "",\n'},
        "awa.close: doors.sql says nothing, the comment at its head says hot",
    ),
    "a door that is not there is refused": (
        {"engine/doors.sql": GOOD_DOORS + "    ('moon', 'inlined', NULL),\n"},
        "there is no such function",
    ),
    "an unknown profile is refused": (
        {"engine/doors.sql": GOOD_DOORS.replace('"hot"', '"cold"')},
        "awa.close: doors.sql says hot",
    ),
    "a missing bootstrap is refused": ({"bootstrap.sql": None}, "bootstrap.sql"),
    "a NUL is refused": ({"engine/jobs/open.sql": "-- a\0b\n"}, "NUL"),
}


def write(folder, files):
    for path, text in files.items():
        os.makedirs(os.path.dirname(f"{folder}/sql/{path}"), exist_ok=True)
        if text is not None:
            with open(f"{folder}/sql/{path}", "w", encoding="utf-8") as file:
                file.write(text)


def embed(folder):
    command = [sys.executable, sys.argv[1], f"{folder}/sql", folder]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def case_passes(changes, message):
    with tempfile.TemporaryDirectory() as folder:
        write(folder, {**GOOD, **changes})
        result = embed(folder)
        if message is None:
            return result.returncode == 0
        return result.returncode == 1 and message in result.stderr


def output_is_right():
    """One parameter is counted, files come after those that they call, text survives as it is."""
    with tempfile.TemporaryDirectory() as folder:
        write(folder, GOOD)
        embed(folder)
        texts = {}
        for name in ("embedded.c", "statements_api.c", "statements_api.h"):
            with open(f"{folder}/{name}", encoding="utf-8") as file:
                texts[name] = file.read()
    return (
        "#define SQL_JOB_GET (&awa__statements_api[0])\n" in texts["statements_api.h"]
        and '.name = "job_get", .nparams = 1' in texts["statements_api.c"]
        and re.findall(r'name = "(\w+/\w+|doors)\.sql"', texts["embedded.c"])
        == ["storage/lane", "jobs/open", "jobs/close", "doors"]
        and r'''... 'a \"quoted\" \\ text\t for''' in texts["embedded.c"]
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

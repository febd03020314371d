#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/floors.py names an arrow that goes up, and a circle. Argument: the path of floors.py."""
import os
import subprocess
import sys
import tempfile

GOOD = {
    "lib/low.c": "int low(void);\nint low(void)\n{\n    return 1;\n}\n",
    "lib/high.c": "int low(void);\nint high(void);\nint high(void)\n{\n    return low();\n}\n",
    "run/pool.c": '#include "base/own.h"\nint pool;\n',
    "base/own.h": "/* nothing */\n",
}

# What to change in GOOD, and a part of the message; None: it must be accepted.
CASES = {
    "arrows that go down are accepted": ({}, None),
    "an include of a floor above is refused": (
        {"lib/low.c": '#include "cli/top.h"\n', "cli/top.h": "/* nothing */\n"},
        "lib/low: low.c uses cli/top.h of cli/top, which is on a floor above it",
    ),
    "a statement of a floor above is refused": (
        {"lib/low.c": '#include "statements_bench.h"\n', "bench/statements_bench.h": ""},
        "lib/low: low.c uses bench/statements.h of bench/statements",
    ),
    "a call of a floor above is refused": (
        {"base/up.c": "int high(void);\nint up(void);\nint up(void)\n{\n    return high();\n}\n"},
        "base/up: it uses high of lib/high, which is on a floor above it",
    ),
    "calls in a circle are refused": (
        {"lib/low.c": "int high(void);\nint low(void);\nint low(void)\n{\n    return high();\n}\n"},
        "a circle: lib/high: it uses low of lib/low; lib/low: it uses high of lib/high",
    ),
    "a client of awa.h that uses the library's inside is refused": (
        {"run/pool.c": '#include "lib/options.h"\n', "lib/options.h": "/* nothing */\n"},
        "run/pool: pool.c uses lib/options.h of lib/options, but may use awa.h only",
    ),
}


def check(folder, files):
    """What floors.py says of these files, compiled into an archive."""
    members = []
    for path, text in files.items():
        os.makedirs(os.path.dirname(f"{folder}/src/{path}"), exist_ok=True)
        with open(f"{folder}/src/{path}", "w", encoding="utf-8") as file:
            file.write(text)
    for path in [path for path in files if path.endswith(".c")]:
        members.append(f"{folder}/src_{path.replace('/', '_')}.o")
        include = ["-I", f"{folder}/src", "-I", f"{folder}/src/bench"]
        subprocess.run(["cc", "-c", *include, f"{folder}/src/{path}", "-o", members[-1]], check=True)
    subprocess.run(["ar", "rc", f"{folder}/lib.a", *members], check=True)
    command = [sys.executable, sys.argv[1], f"{folder}/src", f"{folder}/lib.a"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def case_passes(changes, message):
    with tempfile.TemporaryDirectory() as folder:
        result = check(folder, {**GOOD, **changes})
        if message is None:
            return result.returncode == 0
        return result.returncode == 1 and message in result.stderr


def main():
    failed = [name for name, case in CASES.items() if not case_passes(*case)]
    for name in failed:
        print(f"FAILED: {name}")
    print(f"{len(CASES) - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


main()

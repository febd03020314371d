#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants one bug after the other, and checks that a test then fails.

usage: mutants.py SOURCE WORK MUTANTS.toml [--check] [--test TEST] [NAME...]

SOURCE is copied to WORK/source, which is built in WORK/build. First, all tests must pass. Then for
each mutant of the list whose name contains a NAME, its edits are made in the copy, its tests run
until one fails, as one must, and the edits are undone. An edit whose old text is not found exactly
once is an error, so the list must follow the code; --check looks for such edits and does nothing
else. --test runs another test instead of the listed ones.
"""
import argparse
import filecmp
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import tomllib

import program

COPIED = ["docs", "examples", "include", "meson.build", "meson_options.txt", "sql", "src", "tests",
          "tools", "README.md"]


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def must(*command):
    done = run(*command)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nmutants: {' '.join(map(str, command))}: failed")


def mirror(source, copy):
    """Makes copy equal to source. Equal files keep their time, so little is built again."""
    wanted = {path.relative_to(source)
              for name in COPIED for path in [source / name, *(source / name).rglob("*")]
              if path.is_file()}
    for path in copy.rglob("*"):
        if path.is_file() and path.relative_to(copy) not in wanted:
            path.unlink()
    for name in wanted:
        if not (copy / name).exists() or not filecmp.cmp(source / name, copy / name, False):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, copy / name)


def before_and_after(source, mutant):
    """The texts without and with the mutant, by path."""
    before, after = {}, {}
    for edit in mutant["edits"]:
        path = source / edit["file"]
        before.setdefault(path, path.read_text(encoding="utf-8"))
        text = after.get(path, before[path])
        if text.count(edit["old"]) != 1:
            sys.exit(f"mutants: {mutant['name']}: {edit['file']} has its old text"
                     f" {text.count(edit['old'])} times, not once")
        after[path] = text.replace(edit["old"], edit["new"])
    return before, after


class Bench:
    """A copy of the sources, and its build."""

    def __init__(self, source, work):
        self.source, self.build, self.tests = work / "source", work / "build", {}
        mirror(source, self.source)
        if not (self.build / "build.ninja").exists():
            shutil.rmtree(self.build, ignore_errors=True)
            must("meson", "setup", self.build, self.source)
        must("ninja", "-C", self.build, "--quiet")

    def passes(self, names):
        """Whether the tests pass; None if the build fails."""
        if run("ninja", "-C", self.build, "--quiet").returncode != 0:
            return None
        return all(self.test(name).passes() for name in names)

    def test(self, name):
        if not self.tests:
            for t in json.loads(run("meson", "introspect", "--tests", self.build).stdout):
                self.tests[t["name"]] = program.Program(
                    [self.build / "tests" / "with_cluster", *t["cmd"]],
                    cwd=t["workdir"] or self.build, env=os.environ | t["env"])
        if name not in self.tests:
            sys.exit(f"mutants: no test is called {name}")
        return self.tests[name]

    def write(self, texts):
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")


def judge(bench, mutant):
    before, after = before_and_after(bench.source, mutant)
    bench.write(after)
    try:
        passed = bench.passes(mutant["tests"])
    finally:
        bench.write(before)
    return {None: "not built", True: "SURVIVED", False: "killed"}[passed]


def main():
    parser = argparse.ArgumentParser()
    for name in ["source", "work", "listed"]:
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--test")
    parser.add_argument("names", nargs="*")
    asked = parser.parse_intermixed_args()
    mutants = tomllib.loads(asked.listed.read_text(encoding="utf-8"))["mutant"]
    mutants = [m | {"tests": [asked.test] if asked.test else m["tests"]} for m in mutants
               if not asked.names or any(word in m["name"] for word in asked.names)]
    if not mutants:
        sys.exit(f"mutants: none is called {' or '.join(asked.names)}")
    for mutant in mutants:
        before_and_after(asked.source, mutant)
    if asked.check:
        print("1 passed, 0 failed")
        return
    asked.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(asked.source, asked.work)
    tests = sorted({test for m in mutants for test in m["tests"]})
    for test in tests:
        if not bench.passes([test]):
            sys.exit(f"{bench.test(test).failure}\nmutants: {test} does not pass without a mutant")
    killed = 0
    for mutant in mutants:
        began = time.monotonic()
        verdict = judge(bench, mutant)
        killed += verdict == "killed"
        print(f"{verdict:9} {time.monotonic() - began:5.1f} s  {mutant['name']}"
              f"  ({', '.join(mutant['tests'])})", flush=True)
    print(f"{killed} passed, {len(mutants) - killed} failed")
    sys.exit(killed != len(mutants))


if __name__ == "__main__":
    main()

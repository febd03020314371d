#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the models of models/*.pml with Spin, exhaustively; ends with `N passed, N failed`.

    model.py SOURCES BUILD [NAME...]    only the models, or the twins, whose names contain a NAME

The head comment of a model lists what is to be run, one line each:

    run [FLAG...]: what is in it           must hold in all states
    twin RULE [FLAG...]: what is missing   the same without a rule; must have a counterexample

RULE and FLAG are preprocessor macros. A search that ends early, at a limit, counts as failed. With
two processors, two searches run at the same time.
"""
import os
import re
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LINE = re.compile(r"^ \* (run|twin)((?: [A-Z0-9_]+)*): (.*)$", re.MULTILINE)
MACRO = re.compile(r"\bNO_[A-Z0-9_]+")
DEPTH = 100000  # steps; a deeper search counts as a failure
MEMORY_MB = 4000
SECONDS = 300


class Run:
    def __init__(self, model, kind, flags, base):
        self.model = model
        self.kind = kind
        self.flags = flags
        self.name = " ".join([model.stem] + flags)
        self.folder = base / "-".join([model.stem] + flags)

    def compile(self):
        """Makes the program that searches. Returns the error, or None."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.iterdir():
            old.unlink()
        steps = (["spin"] + ["-D" + flag for flag in self.flags] + ["-a", str(self.model)],
                 ["cc", "-O2" if self.kind == "run" else "-O1", "-w", "-DSAFETY",
                  f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"])
        for step in steps:
            done = subprocess.run(step, cwd=self.folder, capture_output=True, text=True,
                                  check=False)
            if done.returncode != 0 or "rror:" in done.stdout:
                return (done.stdout + done.stderr).strip()
        return None

    def check(self):
        """Runs the search. Returns (passed, a line about it)."""
        problem = self.compile()
        if problem is not None:
            return False, f"{self.name}: {problem}"
        began = time.monotonic()
        try:
            done = subprocess.run(["./pan", f"-m{DEPTH}", "-w24"], cwd=self.folder,
                                  capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return False, f"{self.name}: no end within {SECONDS} s"
        seconds = time.monotonic() - began
        (self.folder / "search").write_text(done.stdout + done.stderr, encoding="utf-8")
        found = re.search(r"depth reached (\d+), errors: (\d+)", done.stdout)
        states = re.search(r"(\d+) states, stored", done.stdout)
        if found is None or states is None or "limit reached" in done.stdout + done.stderr \
                or "max search depth too small" in done.stdout:
            return False, f"{self.name}: the search ended early, see {self.folder}/search"
        wrong = re.search(r"^pan:1: (.*?)(?: \(at depth \d+\))?$", done.stdout, re.MULTILINE)
        result = "holds" if found[2] == "0" else wrong[1]
        if not re.match("holds|assertion violated|invalid end state", result):
            return False, f"{self.name}: the model is broken: {result}"
        if self.kind == "twin" and result != "holds":
            result = "counterexample" + (", all wait" if result == "invalid end state" else "")
        cut = self.kind == "run" and "Search not completed" in done.stdout and found[2] == "0"
        passed = not cut and (found[2] == "0") == (self.kind == "run")
        return passed, (f"{'ok  ' if passed else 'FAIL'} {self.name:32} {int(states[1]):>9} states,"
                        f" depth {int(found[1]):>4}, {seconds:5.1f} s  {result}")


def read_runs(model, base):
    """The runs of a model. Ends if the twins that it lists are not those that it uses."""
    text = model.read_text(encoding="utf-8")
    runs = [Run(model, kind, flags.split(), base) for kind, flags, _ in LINE.findall(text)]
    listed = {run.flags[0] for run in runs if run.kind == "twin"}
    body = text[text.index("*/", text.index("twin ")):]
    if listed != set(MACRO.findall(body)):
        sys.exit(f"{model}: listed and used twins differ:"
                 f" {', '.join(sorted(listed ^ set(MACRO.findall(body))))}")
    return runs


def main():
    source, base = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    names = sys.argv[3:]
    runs = [run for model in sorted(source.glob("*.pml")) for run in read_runs(model, base)]
    for name in names:
        if not any(name in run.name for run in runs):
            sys.exit(f"no model is called {name}")
    runs = [run for run in runs if not names or any(name in run.name for name in names)]

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setpgid(0, 0)  # so that SIGTERM ends the searches, too
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    passed = 0
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for ok, line in pool.map(Run.check, runs):
            passed += ok
            print(line, flush=True)
    print(f"{passed} passed, {len(runs) - passed} failed")
    sys.exit(0 if passed == len(runs) else 1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Empties the functions of schema awa one by one, and checks that a test then fails.

usage: with_cluster stubs.py BUILD TESTS [PATTERN...]

BUILD has the test programs, TESTS their sources. The template of their databases is changed in
place, so nothing is built again. Each function whose name is, or matches, a PATTERN (slots, slot_*)
gets a body that does nothing: it returns NULL, or no rows, or OLD or NEW. Then test programs run
until one fails, the most likely ones first. A function without which all of them pass SURVIVED; it
is then made to raise an error, which tells whether any test calls it. That includes SQL functions
that are inlined, which pg_stat_user_functions does not count.
"""
import fnmatch
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import program

AREAS = ["engine", "race", "worker"]

LIST = r"""
SELECT json_build_object(
           'name', p.proname,
           'signature', p.oid::regprocedure::text,
           'body', CASE WHEN p.prokind = 'p' THEN 'NULL'
                        WHEN p.prorettype = 'trigger'::regtype THEN 'RETURN coalesce(NEW, OLD)'
                        WHEN p.proretset OR p.prorettype = 'void'::regtype
                             OR p.proargmodes && '{o,b,t}'::"char"[] THEN 'RETURN'
                        ELSE 'RETURN NULL' END,
           'original', pg_get_functiondef(p.oid))
  FROM pg_proc AS p
 WHERE p.pronamespace = 'awa'::regnamespace AND p.prokind IN ('f', 'p')
 ORDER BY p.proname, 1::text
"""


def head(definition):
    """A function's definition without its body, so that its rights and settings stay the same."""
    before = re.split(r"\n(?:AS \$|BEGIN ATOMIC\n|RETURN )", definition, maxsplit=1)[0]
    return re.sub(r"\n LANGUAGE \w+", "\n LANGUAGE plpgsql", before)


def psql(database, sql):
    dsn = f"{os.environ['AWA_TEST_DSN']} dbname={database}"
    done = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", dsn], input=sql,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"stubs: {done.stderr}\n{sql}")
    return done.stdout


class Promising(program.Program):
    """A test program and its source."""

    def __init__(self, build, tests, area, name):
        super().__init__([build / "tests" / f"{area}_{name}"])
        self.name = f"{area}/{name}"
        self.text = (tests / area / f"{name}.c").read_text(encoding="utf-8")

    def passes(self):
        passed = super().passes()
        if not passed:
            drop_databases(self.pid)
        return passed


def drop_databases(pid):
    """Drops the databases that a killed program has left."""
    names = psql("postgres", f"SELECT datname FROM pg_database WHERE datname LIKE 'test\\_{pid}\\_%'")
    psql("postgres", "".join(f"DROP DATABASE {name} WITH (FORCE);\n" for name in names.split()))


def find_programs(build, tests):
    return [Promising(build, tests, area, source.stem)
            for area in AREAS for source in sorted((tests / area).glob("*.c"))
            if (build / "tests" / f"{area}_{source.stem}").exists()]


def must_pass(one):
    if not one.passes() and not one.passes():  # twice: a chance failure would waste an hour
        sys.exit(f"{one.failure}\nstubs: {one.name} does not pass as it is")


def pass_as_they_are(build, programs):
    """Each must pass once since it was built; passed.json remembers that."""
    memory = build / "passed.json"
    passed = json.loads(memory.read_text(encoding="utf-8")) if memory.exists() else {}
    for one in programs:
        built = max(pathlib.Path(file).stat().st_mtime_ns for file in (build / "awa", *one.command))
        if passed.get(one.name, [0])[0] == built:
            one.took(passed[one.name][1])
            continue
        must_pass(one)
        passed[one.name] = [built, one.seconds]
        memory.write_text(json.dumps(passed), encoding="utf-8")


def find_callers(functions):
    """For the name of each function: the names of those that call it, directly or not."""
    direct = {f["name"]: {g["name"] for g in functions if f"awa.{f['name']}(" in g["original"]}
              for f in functions}

    def reach(name, seen):
        for caller in direct[name] - seen:
            seen.add(caller)
            reach(caller, seen)
        return seen

    return {name: reach(name, set()) - {name} for name in direct}


def by_promise(programs, name, callers, killers):
    """Sorts programs by their time, divided by how likely they are to fail: because they name the
    function, or one that calls it, or because they have failed for others."""
    tried = sum(killers.values()) + 1

    def count(words, text):
        return len(re.findall(rf"\b(?:{'|'.join(words)})\b", text)) if words else 0

    def seconds_to_notice(program):
        likely = max(0.3 * min(count([name], program.text), 3),
                     0.1 * min(count(callers, program.text), 3),
                     killers.get(program.name, 0) / tried, 0.01)
        return program.seconds / likely

    return sorted(programs, key=seconds_to_notice)


def first_to_notice(function, body, programs):
    psql("test_template", f"{head(function['original'])} AS $stub$BEGIN {body}; END$stub$;")
    try:
        return next((p.name for p in programs if not p.passes()), None)
    finally:
        psql("test_template", function["original"])


def chosen(functions, patterns):
    for pattern in patterns:
        if not fnmatch.filter([f["name"] for f in functions], pattern):
            sys.exit(f"stubs: no function of schema awa is called {pattern}")
    return [f for f in functions if any(fnmatch.fnmatch(f["name"], p) for p in patterns)]


def judge(function, programs, callers, killers):
    order = by_promise(programs, function["name"], callers[function["name"]], killers)
    name = first_to_notice(function, function["body"], order)
    if name is not None:
        killers[name] = killers.get(name, 0) + 1
        return "killed", name
    caller = first_to_notice(function, "RAISE EXCEPTION 'a stub was called'", order)
    return "SURVIVED", f"called by {caller}" if caller else "no test calls it"


def main():
    build, tests = map(pathlib.Path, sys.argv[1:3])
    programs = find_programs(build, tests)
    must_pass(programs[0])  # its first run makes the template
    functions = [json.loads(line) for line in psql("test_template", LIST).splitlines()]
    callers = find_callers(functions)
    functions = chosen(functions, sys.argv[3:] or ["*"])
    pass_as_they_are(build, programs)
    killed, killers = 0, {}
    for function in functions:
        began = time.monotonic()
        verdict, reason = judge(function, programs, callers, killers)
        killed += verdict == "killed"
        print(f"{verdict:9} {time.monotonic() - began:6.1f} s  {function['signature']}  ({reason})",
              flush=True)
    print(f"{killed} passed, {len(functions) - killed} failed")
    sys.exit(killed != len(functions))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lets the N-th allocation, or the N-th system call, of a program fail, N = 1, 2, ...

usage: with_cluster sweep.py AWA WORKER SHIM memory|calls|all [--sample N] [NAME...]

AWA is the executable, WORKER the program worker.c here, SHIM the library fail_malloc.c. Each
operation (whose name contains a NAME) is first done unharmed, and then again and again, with one
more fault each time, until the fault comes too late to matter; --sample: with N of these faults
only, evenly spread. Each time it must end within its deadline, not busy all the while, without a
signal, with exit code 0 and the same output, or with exit code 1 and a message; and what the
database holds afterwards must agree with that. A command that says that it does not know, or that
its output got lost, may have done all or nothing. A failed run prints how to repeat it.

Memory fails once, or from the N-th allocation on. System calls fail once in each thread, with each
error that the kernel may give, from main() on; strace injects them.
"""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

DEADLINE_S = 20  # for what takes a tenth of a second
SILENCE_S = 90   # for a worker: it waits 40 s for an answer, and 10 s for a session, that never come
PATIENCE_S = 4   # for a worker without memory, which goes on trying until it is told to end
BUSY_S = 2       # of CPU time are enough for all of them: who waits must not turn round
JOBS = 12

CALLS = {
    "read": ["EINTR", "EIO"],
    "write": ["EINTR", "EIO", "ENOSPC"],
    "sendto": ["EINTR", "EAGAIN", "ECONNRESET", "EPIPE"],
    "recvfrom": ["EINTR", "EAGAIN", "ECONNRESET", "EIO"],
    "openat": ["EINTR", "EMFILE", "EIO"],
    "socket": ["EMFILE", "ENOBUFS"],
    "connect": ["EINTR", "EAGAIN", "ECONNREFUSED"],
    "poll": ["EINTR", "ENOMEM"],
    "fstat,newfstatat": ["EIO"],
    "eventfd2": ["EMFILE"],
    "pipe2": ["EMFILE"],
    "clone,clone3": ["EAGAIN"],
    "memfd_create": ["EMFILE"],
    "pidfd_open": ["EMFILE"],
    "mmap": ["ENOMEM"],
}


class Database:
    """A clone of a migrated one, for one operation and one kind of fault."""

    def __init__(self, name):
        self.server, self.name = os.environ["AWA_TEST_DSN"], name
        self.dsn = f"{self.server} dbname={name}"

    def psql(self, sql, name=None):
        done = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d",
                               f"{self.server} dbname={name or self.name}"],
                              input=f"SET jit = off;\n{sql}", stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"sweep: {done.stderr}{sql}")
        return done.stdout.strip()

    def create(self, template):
        self.psql(f"CREATE DATABASE {self.name} TEMPLATE {template}", "postgres")

    def drop(self):
        self.psql(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)", "postgres")

    def states(self):
        """How many jobs are in each state."""
        return json.loads(self.psql("SELECT coalesce(json_object_agg(state, n), '{}') FROM"
                                    " (SELECT state, count(*) AS n FROM awa.jobs GROUP BY 1) AS s"))


class Result:
    def __init__(self, code, out, err, seconds, busy_s):
        self.code, self.out, self.err, self.seconds, self.busy_s = code, out, err, seconds, busy_s


# ---- What is done, and what must come of it ----------------------------------------------------

class Operation:
    """One command. Its checks return what is wrong, or None."""
    stdin = ""
    deadline_s = DEADLINE_S
    endless = False  # without memory it goes on until it is told to end
    codes = 0, 1  # that it may exit with
    known_hangs = 0  # that are not ours, see operations()

    def __init__(self, name, *command):
        self.name, self.command = name, command

    def prepare(self, database):
        pass

    def check(self, database, result):
        return None


class Read(Operation):
    """Must print what it prints unharmed, or fail."""

    @staticmethod
    def seen(result):
        """But for how long ago something was."""
        return re.sub(r" +\d+s ago *", " ? ago ", result.out)

    def prepare(self, database):
        database.psql("SELECT awa.insert_jobs(array_fill('k'::text, '{3}'))")


class Insert(Operation):
    """Jobs from flags or lines. `all`: in one transaction."""

    def __init__(self, name, n, atomic, copies, stdin, *command):
        super().__init__(name, *command)
        self.n, self.atomic, self.stdin = n, atomic, stdin
        self.before = 0
        self.known_hangs = 2 if copies else 0

    def prepare(self, database):
        self.before = sum(database.states().values())

    def check(self, database, result):
        now = sum(database.states().values())
        got, self.before = now - self.before, now
        if result.code == 0 and got != self.n:
            return f"exit code 0, but {got} of {self.n} jobs are there"
        if self.atomic and got not in (0, self.n):
            return f"{got} of {self.n} jobs are there"
        if "is not known" in result.err or "awa: output:" in result.err:
            return None
        if result.code != 0 and got > 0 and self.atomic:
            return f"exit code {result.code}, but {got} jobs are there"
        report = re.search(r'"inserted": (\d+)', result.out)
        if report and int(report[1]) != got:
            return f"{report[1]} jobs reported, {got} are there"
        return None


class Work(Operation):
    """Jobs that a worker runs: all of them end in a good state, sooner or later, and once."""

    deadline_s = SILENCE_S
    codes = 0, 1, 4  # 4: an attempt failed

    def __init__(self, name, endless, awa, *command):
        super().__init__(name, *command)
        self.endless, self.awa, self.total = endless, awa, 0

    def prepare(self, database):
        database.psql(f"SELECT awa.insert_jobs(array_fill('k'::text, '{{{JOBS}}}'),"
                      f" p_max_attempts => array_fill(1000, '{{{JOBS}}}'))")
        self.total += JOBS

    def check(self, database, result):
        states = database.states()
        if sum(states.values()) != self.total:
            return f"{self.total} jobs were inserted, there are {states}"
        if result.code == 0 and states.get("available", 0) > 0:
            return f"exit code 0, but {states}"
        if states.get("completed", 0) == self.total:
            return None
        return self.recover(database)

    def recover(self, database):
        """Another worker gets what this one has left."""
        database.psql("SELECT awa.rescue_jobs(clock_timestamp() + interval '1 hour')")
        database.psql("SELECT awa.promote_jobs(p_now => clock_timestamp() + interval '1 day')")
        subprocess.run([self.awa, "work", "--until-empty", "--threads", "2", "--exec", "true"],
                       env=dict(os.environ, AWA_DATABASE_URL=database.dsn), timeout=DEADLINE_S,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        states = database.states()
        if states.get("completed", 0) != self.total:
            return f"not every job was completed in the end: {states}"
        return None


def operations(awa, worker):
    """libpq 15 waits for ever if it has no memory for what the server says as a COPY begins (its
    getCopyStart() takes that for data that have not come yet): two allocations of each COPY."""
    lines = "".join(f'{{"kind": "k", "args": {{"n": {n}}}}}\n' for n in range(40))
    mixed = lines + '{"kind": "k", "tags": ["a"]}\n'
    return [
        Read("help", awa, "migrate", "--help"),
        Read("list", awa, "job", "list", "--json"),
        Read("show", awa, "job", "show", "1"),
        Read("stats", awa, "queue", "stats"),
        Insert("insert", 1, True, False, "", awa, "job", "insert", "--kind", "k", "--tag", "a"),
        Insert("lines", 40, False, True, lines, awa, "job", "insert", "--json", "-"),
        Insert("special lines", 41, False, False, mixed, awa, "job", "insert", "--json", "-"),
        Insert("strict lines", 40, True, True, lines, awa, "job", "insert", "--json", "--strict", "-"),
        Work("work", True, awa, awa, "work", "--until-empty", "--threads", "2", "--exec", "cat"),
        Work("libawa", False, awa, worker, str(JOBS)),
    ]


# ---- Faults ------------------------------------------------------------------------------------

class Memory:
    def __init__(self, shim, forever):
        self.shim, self.forever = shim, forever
        self.name = "every allocation from the N-th on" if forever else "the N-th allocation"
        self.endless = forever

    def run(self, operation, database, n):
        with tempfile.NamedTemporaryFile("r") as count:
            result = run(operation, database, [], {
                "LD_PRELOAD": self.shim, "AWA_FAIL_AT": f"{n}{'+' if self.forever else ''}",
                "AWA_FAIL_COUNT": count.name}, self.endless)
            self.total = int(count.read() or 0)
        return result

    def reach(self, operation, database):
        """The last N that matters. Threads do not count evenly: a few more."""
        result = self.run(operation, database, 0)
        return result, self.total + (10 if isinstance(operation, Work) else 0)

    def describe(self, n):
        return f"LD_PRELOAD={self.shim} AWA_FAIL_AT={n}{'+' if self.forever else ''}"


class Call:
    endless = False

    def __init__(self, call, error):
        self.call, self.error = call, error
        self.name = f"the N-th {call}: {error}"

    def strace(self, n, log):
        return ["strace", "-f", "-qq", "-o", log, "-e", f"trace={self.call},fcntl",
                *(["-e", f"inject={self.call}:error={self.error}:when={n}"] if n > 0 else [])]

    def run(self, operation, database, n):
        with tempfile.NamedTemporaryFile("r") as log:
            result = run(operation, database, self.strace(n, log.name), {}, self.endless)
            self.log = log.read()
        return result

    def reach(self, operation, database):
        """main() begins with a look at the standard descriptors."""
        result = self.run(operation, database, 0)
        calls = [line.split(" ", 1) for line in self.log.splitlines()]
        names = self.call.split(",")
        main = next(i for i, (_, text) in enumerate(calls) if text.lstrip().startswith("fcntl(0, F_GETFD"))
        count = {}
        for i, (pid, text) in enumerate(calls):
            if any(text.lstrip().startswith(name + "(") for name in names):
                count[pid] = count.get(pid, 0) + 1
            if i == main:
                self.first = count.get(calls[main][0], 0) + 1
        return result, max(count.values(), default=0)

    def describe(self, n):
        return " ".join(self.strace(n, "/dev/null"))


def busy_s():
    """CPU time of all programs that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(operation, database, wrapper, extra, endless):
    """Runs it, and ends it politely if it is of the endless kind."""
    env = dict(os.environ, AWA_DATABASE_URL=database.dsn, **extra)
    began, busy = time.monotonic(), busy_s()
    with tempfile.TemporaryFile("w+") as given:
        given.write(operation.stdin)
        given.seek(0)
        process = subprocess.Popen([*wrapper, *operation.command], env=env, stdin=given,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   errors="replace", start_new_session=True)
    told = False
    patience = [PATIENCE_S] if endless and operation.endless else []
    for wait in patience + [operation.deadline_s, None]:
        try:
            out, err = process.communicate(timeout=wait)
            break
        except subprocess.TimeoutExpired:
            if endless and not told:
                os.killpg(process.pid, signal.SIGTERM)
                told = True
            else:
                os.killpg(process.pid, signal.SIGKILL)
    seconds = time.monotonic() - began
    return Result(process.returncode if seconds < operation.deadline_s else "hang", out, err, seconds,
                  busy_s() - busy)


# ---- The sweep ---------------------------------------------------------------------------------

def fault(operation, database, kind, n, usual):
    """What is wrong after one faulty run, or None."""
    operation.prepare(database)
    result = kind.run(operation, database, n)
    wrong = operation.check(database, result)
    hang = result.code == "hang" or result.code == -signal.SIGTERM
    if hang and isinstance(kind, Memory) and operation.known_hangs > 0:
        operation.known_hangs -= 1
    elif result.code not in operation.codes:
        wrong = f"ended with {result.code} after {result.seconds:.1f} s"
    elif result.code == 1 and not re.search(r"^awa: .", result.err, re.MULTILINE):
        wrong = "failed without a word"
    elif result.code == 0 and isinstance(operation, Read) and Read.seen(result) != Read.seen(usual):
        wrong = f"exit code 0, but printed {result.out!r} instead of {usual.out!r}"
    elif result.busy_s > BUSY_S:
        wrong = f"took {result.busy_s:.1f} s of CPU time in {result.seconds:.1f} s"
    elif "Sanitizer" in result.err:
        wrong = "a sanitizer complains"
    if wrong is None:
        return None
    return (f"{operation.name}: {wrong}\n    {kind.describe(n)} {' '.join(operation.command)}\n"
            f"    {result.err.strip()[-2000:]}")


def sweep(operation, kind, template, sample):
    """Returns the number of runs, and of those that went wrong."""
    database = Database(f"{template}_one")
    database.drop()
    database.create(template)
    operation.prepare(database)
    usual, last = kind.reach(operation, database)
    wrong = operation.check(database, usual)
    if usual.code != 0 or wrong:
        sys.exit(f"sweep: {operation.name} fails unharmed: {wrong}\n{usual.out}{usual.err}")
    if isinstance(operation, Read):  # what it shows must stay as it is
        operation.prepare = lambda database: None
    faults = range(getattr(kind, "first", 1), last + 1)
    if sample and len(faults) > sample:
        faults = [faults[i * len(faults) // sample] for i in range(sample)]
    failed = 0
    for n in faults:
        wrong = fault(operation, database, kind, n, usual)
        if wrong:
            failed += 1
            print(wrong, flush=True)
            operation.total = sum(database.states().values())
    database.drop()
    return len(faults), failed


def main():
    awa, worker, shim, what = sys.argv[1:5]
    words, sample = sys.argv[5:], 0
    if words[:1] == ["--sample"]:
        sample, words = int(words[1]), words[2:]
    kinds = []
    if what in ("memory", "all"):
        kinds += [Memory(shim, forever) for forever in (False, True)]
    if what in ("calls", "all"):
        kinds += [Call(call, error) for call, errors in CALLS.items() for error in errors]
        if not shutil.which("strace"):
            print("sweep: there is no strace\n0 passed, 1 failed")
            sys.exit(1)
    names = [f"{operation.name}: {kind.name}" for kind in kinds
             for operation in operations(awa, worker)]
    for word in words:
        if not any(word in name for name in names):
            sys.exit(f"sweep: nothing is called {word}")
    template = Database(f"sweep_{os.getpid()}")
    template.create("template0")
    subprocess.run([awa, "migrate", "--quiet"], env=dict(os.environ, AWA_DATABASE_URL=template.dsn),
                   check=True)
    all_runs = all_failed = 0
    for kind in kinds:
        for number, operation in enumerate(operations(awa, worker)):
            if words and not any(word in f"{operation.name}: {kind.name}" for word in words):
                continue
            began = time.monotonic()
            runs, failed = sweep(operation, kind, template.name, sample)
            all_runs, all_failed = all_runs + runs, all_failed + failed
            print(f"{'FAILED' if failed else 'ok':8}{runs:5} runs {time.monotonic() - began:6.1f} s"
                  f"  {operation.name}: {kind.name}", flush=True)
    template.drop()
    print(f"{all_runs - all_failed} passed, {all_failed} failed")
    sys.exit(all_failed > 0)


if __name__ == "__main__":
    main()

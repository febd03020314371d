# SPDX-License-Identifier: MIT
"""Runs test programs for mutants.py and stubs.py, which plant bugs."""
import collections
import os
import signal
import subprocess
import time

FIRST_S = 3600  # the deadline while it is not known how long a program takes
DYING_S = 15  # how long with_cluster may take to stop its cluster


def _end(process):
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(DYING_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _raise_timeout(*_):
    raise TimeoutError


class Program:
    """A test program. It is killed after its first failure; and when it has run for a minute and
    three times as long as when it passed, so that a bug that makes it hang counts as a failure."""

    def __init__(self, command, **options):
        self.command, self.options = command, options
        self.seconds = 0.0  # how long it took when it passed
        self.deadline_s = FIRST_S
        self.pid = None
        self.failure = ""  # the last lines of its output

    def passes(self):
        began = time.monotonic()
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace", start_new_session=True,
                                   **self.options)
        self.pid = process.pid
        signal.signal(signal.SIGALRM, _raise_timeout)
        signal.alarm(self.deadline_s)
        said = collections.deque([""], maxlen=50)
        try:
            for line in process.stdout:
                said.append(line)
                if "[  FAILED  ]" in line:
                    break
            passed = "[  FAILED  ]" not in said[-1] and process.wait() == 0
        except TimeoutError:
            passed = False
        finally:
            signal.alarm(0)
            if process.poll() is None:
                _end(process)
            process.stdout.close()
        self.failure = "" if passed else "".join(said)
        if passed:
            self.took(time.monotonic() - began)
        return passed

    def took(self, seconds):
        self.seconds = seconds
        self.deadline_s = 60 + 3 * int(seconds)

# SPDX-License-Identifier: MIT
"""Test programs, for those who plant bugs."""
import collections
import os
import signal
import subprocess
import time

FIRST_S = 3600  # while it is not known how long it takes
DYING_S = 15  # for with_cluster to stop its cluster


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
    """One, which is killed after its first failure, and if it runs for a minute and three times as
    long as usual: what waits for ever is noticed, too."""

    def __init__(self, command, **options):
        self.command, self.options = command, options
        self.seconds = 0.0  # when it passed
        self.deadline_s = FIRST_S
        self.pid = None
        self.failure = ""  # what it said at last

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

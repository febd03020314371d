# SPDX-License-Identifier: MIT
"""Runs a test program until its first failure: who plants bugs need not hear of the others."""
import os
import signal
import subprocess

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


def run(command, deadline_s, **options):
    """Returns whether it passed, and its pid. What runs for longer than the deadline failed: what
    waits for ever is noticed, too."""
    signal.signal(signal.SIGALRM, _raise_timeout)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", start_new_session=True, **options)
    signal.alarm(deadline_s)
    try:
        failed = any("[  FAILED  ]" in line for line in process.stdout)
        failed = process.wait() != 0 if not failed else failed
    except TimeoutError:
        failed = True
    finally:
        signal.alarm(0)
        if process.poll() is None:
            _end(process)
        process.stdout.close()
    return not failed, process.pid

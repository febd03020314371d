#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""on_terminal.py FILE COMMAND...: runs it with a terminal as its standard error.

What the terminal was told goes to FILE, byte by byte; the exit code is the command's.
"""
import os
import pty
import subprocess
import sys

leader, terminal = pty.openpty()
with subprocess.Popen(sys.argv[2:], stderr=terminal) as child, open(sys.argv[1], "wb") as file:
    os.close(terminal)
    try:
        while part := os.read(leader, 100000):  # a terminal hands out what it likes
            file.write(part)
    except OSError:
        pass  # so it says that nobody else has it open
sys.exit(child.returncode)

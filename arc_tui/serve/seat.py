"""Takes a terminal and becomes the command that is to run there: `seat read|write COMMAND...`.

A process of its own, as no code may run between fork and exec in one that has threads. It imports nothing of
ours, so that a viewer opens without waiting for it.
"""

from __future__ import annotations

import fcntl
import os
import resource
import sys
import termios

READ, WRITE = "read", "write"
"""Whether the command may write files."""


def main() -> None:
    """Take the terminal on standard input, so that resizes and its end reach the command; then become it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if sys.argv[1] == READ:
        # The command refuses to write by itself. Under this the system does too, whatever the command does.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()

"""A process that solves tasks: `python -m arc_core.evaluation.worker FOLDER`. It reads no test output.

It ends when every task of the evaluation is done, or when its standard input closes, as it does when
whoever started it is gone.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from arc_core.base.environment import prepare
from arc_core.base.errors import ArcError
from arc_core.base.text import printable
from arc_core.evaluation.folder import EvalFolder

REFUSED = 2


def main(arguments: list[str]) -> int:
    """Work on an evaluation.

    Args:
        arguments: Its folder, and `--watch` to tell in events.jsonl how each task goes.

    Returns:
        0 when every task is done, 2 when the input was refused; the sentence is on standard error.
    """
    if not arguments:
        sys.stderr.write("usage: python -m arc_core.evaluation.worker FOLDER [--watch]\n")
        return REFUSED
    threading.Thread(target=_end_with_starter, daemon=True).start()
    prepare()

    from arc_core.evaluation.solving import Worker

    try:
        Worker(EvalFolder(Path(arguments[0])), watched="--watch" in arguments[1:]).work()
    except ArcError as error:
        sys.stderr.write(f"Error: {printable(str(error))}\n")
        return REFUSED
    return 0


def _end_with_starter() -> None:
    """Wait for the end of standard input; answers are written whole, so nothing is left torn."""
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

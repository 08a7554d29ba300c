"""A process that solves tasks: `python -m arc_core.evaluation.worker FOLDER DEVICE`. It reads no test output.

Standard input names the tasks, one JSON string a line; standard output gets a byte when the process is ready
and whenever a task is done. It ends when its standard input does, as when whoever started it is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from arc_core.base.environment import prepare
from arc_core.base.errors import ArcError
from arc_core.base.text import printable
from arc_core.evaluation.folder import EvalFolder
from arc_core.evaluation.supervising import REFUSED


def main(arguments: list[str]) -> int:
    """Work on an evaluation.

    Args:
        arguments: Its folder, `cpu` or `cuda:N`, and `--watch` to tell in events.jsonl how each task goes.

    Returns:
        2 when the input was refused; the sentence is on standard error.
    """
    if len(arguments) not in (2, 3):
        sys.stderr.write("usage: python -m arc_core.evaluation.worker FOLDER DEVICE [--watch]\n")
        return REFUSED
    tell = _teller()
    tasks: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    prepare()

    import torch

    from arc_core.evaluation.solving import Worker

    try:
        worker = Worker(
            EvalFolder(Path(arguments[0])), torch.device(arguments[1]), watched="--watch" in arguments[2:]
        )
        worker.work(iter(tasks.get, None), tell)
    except ArcError as error:
        sys.stderr.write(f"Error: {printable(str(error))}\n")
        return REFUSED
    return 0


def _teller() -> Callable[[], None]:
    """What tells the starter; from now on whatever else is printed goes to standard error."""
    channel = os.dup(1)
    os.dup2(2, 1)

    def tell() -> None:
        with contextlib.suppress(BrokenPipeError):  # the starter is gone, and this process is about to end
            os.write(channel, b".")

    return tell


def _listen(tasks: SimpleQueue[str]) -> None:
    """Take what standard input names until it ends; answers are written whole, so nothing is left torn."""
    for line in sys.stdin.buffer:
        tasks.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

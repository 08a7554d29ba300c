"""Signals that end a console: the terminal is left as it was, and the run goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable

from arc_core.base.signals import ENDING

ANSWERED = (signal.SIGHUP, *ENDING)

FORCED_EXIT_SECONDS = 3.0
"""So long a console may take to leave. A terminal that has gone may never take its last words."""


class Signals:
    """Answers the signals of a console within its event loop.

    Args:
        leave: Leaves the console; is given the signal's number.
    """

    def __init__(self, leave: Callable[[int], None]) -> None:
        self._leave = leave
        self._loop: asyncio.AbstractEventLoop | None = None

    def answer(self) -> None:
        """Begin; to be called within the running loop, in the main thread."""
        self._loop = asyncio.get_running_loop()
        for number in ANSWERED:
            self._loop.add_signal_handler(number, self._received, number)

    def ignore(self) -> None:
        """Leave the signals to whoever comes next."""
        if self._loop is not None:
            for number in ANSWERED:
                self._loop.remove_signal_handler(number)
            self._loop = None

    def _received(self, number: int) -> None:
        last = threading.Timer(FORCED_EXIT_SECONDS, os._exit, [128 + number])
        last.daemon = True
        last.start()
        self._leave(number)

"""Posts alerts from a thread of its own, each a few times if need be; nothing else waits for the server."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Sequence
from http.client import HTTPException

from arc_core.base.text import printable
from arc_tui.alerts.message import Alert, posted
from arc_tui.alerts.target import Target

TIMEOUT_SECONDS = 10.0
WAITS = (1.0, 4.0, 16.0, 60.0)
"""Seconds between the tries of an alert, so that there is one try more."""

MOST_WAITING = 20
"""Alerts that wait to be sent; the oldest makes room."""

_AGAIN = frozenset({408, 425, 429})
"""Refusals that may pass, beside those of 500 and more."""


class Undelivered(Exception):
    """An alert was not taken; says why, without the address.

    Attributes:
        again: Whether it may be taken the next time.
    """

    def __init__(self, why: str, *, again: bool = True) -> None:
        super().__init__(why)
        self.again = again


def deliver(target: Target, alert: Alert, timeout: float = TIMEOUT_SECONDS) -> None:
    """Post an alert once.

    Raises:
        Undelivered: If it was not taken.
    """
    body, headers = posted(alert, target)
    request = urllib.request.Request(target.url, body, {"User-Agent": "arc-tui", **headers}, method="POST")
    try:
        _opener().open(request, timeout=timeout).close()
    except urllib.error.HTTPError as error:
        error.close()
        again = error.code >= 500 or error.code in _AGAIN
        raise Undelivered(f"it answers {error.code}", again=again) from None
    except TimeoutError:
        raise Undelivered("it does not answer") from None
    except urllib.error.URLError as error:
        why = getattr(error.reason, "strerror", None) or error.reason
        raise Undelivered(printable(str(why), 200)) from None
    except OSError as error:
        raise Undelivered(printable(error.strerror or type(error).__name__, 200)) from None
    except HTTPException as error:  # whose text may hold the address
        raise Undelivered(f"it speaks no HTTP ({type(error).__name__})") from None


def _opener() -> urllib.request.OpenerDirector:
    """What opens an address, by a proxy where there is one.

    It follows no redirection, which would take the headers, and the token among them, to another host.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        *(urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler()),
        *(urllib.request.HTTPDefaultErrorHandler(), urllib.request.HTTPErrorProcessor()),
    ):
        opener.add_handler(handler)
    return opener


class Sender:
    """Sends alerts in their order.

    Args:
        target: Where they go.
        tell: Is told of those that could not be delivered, on the sender's thread.
        timeout: Seconds that a server may take to answer.
        waits: Seconds between the tries of one.
    """

    def __init__(
        self,
        target: Target,
        tell: Callable[[str], object],
        timeout: float = TIMEOUT_SECONDS,
        waits: Sequence[float] = WAITS,
    ) -> None:
        self._target = target
        self._tell = tell
        self._timeout = timeout
        self._waits = waits
        self._waiting: deque[Alert] = deque(maxlen=MOST_WAITING)
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
        self._thread.start()

    def send(self, alert: Alert) -> None:
        """Have an alert sent; returns at once."""
        with self._changed:
            self._waiting.append(alert)
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Take no more, and wait at most so long until all are sent or given up."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._tell(f"{self._target.shown} took too long: its last alerts are left unsent.")

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                alert = self._waiting.popleft()
            self._send(alert)

    def _send(self, alert: Alert) -> None:
        for tries, wait in enumerate((*self._waits, None), 1):
            try:
                deliver(self._target, alert, self._timeout)
            except Undelivered as error:
                if wait is None or not error.again:
                    told = f"{self._target.shown} did not take the alert of a {alert.occasion}"
                    self._tell(f"{told} in {tries} {'try' if tries == 1 else 'tries'}: {error}.")
                    return
                time.sleep(wait)
            else:
                return

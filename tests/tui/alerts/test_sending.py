"""Alerts on their way to a server that takes them, refuses them, hangs, or is not there."""

import socket
import time

import pytest
from alert_server import serving

from arc_tui.alerts.message import Alert, Occasion
from arc_tui.alerts.sending import MOST_WAITING, Sender
from arc_tui.alerts.target import Target, TargetKind

SECRET = "s3cr3t"


def alert(title: str = "demo has crashed") -> Alert:
    return Alert(Occasion.CRASH, "demo", title, "Step 5.")


def sender(
    url: str, told: list[str], *, timeout: float = 5.0, waits: tuple[float, ...] = (0.01, 0.01)
) -> Sender:
    return Sender(Target(f"{url}/{SECRET}", TargetKind.NTFY), told.append, timeout, waits)


def test_what_a_server_takes_is_sent_once_and_in_order():
    told: list[str] = []
    with serving(200) as server:
        sending = sender(server.url, told)
        for number in range(3):
            sending.send(alert(str(number)))
        sending.close(10)
        assert server.titles == ["0", "1", "2"]
    assert told == []


def test_a_500_is_tried_again_until_it_is_taken():
    told: list[str] = []
    with serving(500, 429, 200) as server:
        sending = sender(server.url, told)
        sending.send(alert())
        sending.close(10)
        assert len(server.posted) == 3
    assert told == []


@pytest.mark.parametrize(("code", "tries"), [(500, 3), (503, 3), (404, 1), (403, 1), (302, 1)])
def test_what_is_refused_for_good_is_given_up_and_told_without_the_address(code: int, tries: int):
    told: list[str] = []
    with serving(code) as server:
        sending = sender(server.url, told)
        sending.send(alert())
        sending.send(alert("next"))
        sending.close(10)
        assert len(server.posted) == 2 * tries, "the next one is tried too, and no redirection is followed"
    assert len(told) == 2
    told_tries = "1 try" if tries == 1 else f"{tries} tries"
    assert told[0] == (
        f"http://127.0.0.1 did not take the alert of a crash in {told_tries}: it answers {code}."
    )
    assert SECRET not in "".join(told)


def test_a_server_that_hangs_is_left_after_its_time_and_holds_nobody_up():
    told: list[str] = []
    with serving(0) as server:
        sending = sender(server.url, told, timeout=0.1)
        before = time.monotonic()
        for number in range(2 * MOST_WAITING):
            sending.send(alert(str(number)))
        assert time.monotonic() - before < 0.1, "sending returns at once"
        server.wait_for(4)
        assert sending._waiting.maxlen == MOST_WAITING
        sending.close(0.01)
        assert len(sending._waiting) < MOST_WAITING
        assert sending._thread.is_alive(), "close waits no longer than it is told"
        assert told[0].endswith("in 3 tries: it does not answer.")
        assert told[-1] == "http://127.0.0.1 took too long: its last alerts are left unsent."


def test_a_server_that_is_not_there_or_speaks_something_else_is_told():
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    sending = sender(f"http://127.0.0.1:{port}", told, waits=())
    sending.send(alert())
    sending.close(10)
    assert told == ["http://127.0.0.1 did not take the alert of a crash in 1 try: Connection refused."]

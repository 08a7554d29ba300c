"""Runs the command line in the test's own process; what it shows must be safe for a terminal."""

import pytest

from arc_core.base.text import is_printable
from arc_tui import cli

Capture = pytest.CaptureFixture[str]


def say(capfd: Capture, *arguments: str) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it wrote, which must be safe to show."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    out, err = capfd.readouterr()
    for line in (out + err).split("\n"):
        assert is_printable(line), ascii(line)
    assert "Traceback" not in err
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


def refused(capfd: Capture, *arguments: str) -> str:
    """Run a command that must be refused in one sentence, and return it."""
    code, _, err = say(capfd, *arguments)
    assert code == 2, (arguments, err)
    assert err.startswith("Error: ")
    assert err.count("\n") == 1, err
    return err

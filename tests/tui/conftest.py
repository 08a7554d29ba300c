"""What the tests of the screens share."""

import pytest
from textual.widgets import Input


@pytest.fixture(autouse=True)
def _steady_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor that blinks is in a picture or not, by how busy the machine is."""
    monkeypatch.setattr(Input.cursor_blink, "_default", False)

"""What is not installed is named, with the command that brings it."""

import sys
from pathlib import Path

import pytest

from arc_core.base.errors import MissingPackageError
from arc_core.base.extras import install_command, require


def test_what_is_installed_is_not_refused() -> None:
    require("Reading", "train", ["json", "numpy"])


def test_all_that_is_missing_is_named_in_one_sentence() -> None:
    with pytest.raises(MissingPackageError) as one:
        require("Drawing", "png", ["json", "no_such_pen"])
    with pytest.raises(MissingPackageError) as several:
        require("Drawing", "png", ["no_such_pen", "json", "no_such_ink", "no_such_paper"])
    assert str(one.value) == ("Drawing needs no_such_pen, which is not installed: pip install 'arc-tui[png]'")
    assert "no_such_pen, no_such_ink and no_such_paper, which are not" in str(several.value)


@pytest.mark.parametrize(
    ("receipt", "command"),
    [
        ("uv-receipt.toml", "uv tool install 'arc-tui[train]'"),
        ("pipx_metadata.json", "pipx install --force 'arc-tui[train]'"),
    ],
)
def test_the_command_is_that_of_the_tool_that_installed_it(
    receipt: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert install_command("train") == "pip install 'arc-tui[train]'"
    (tmp_path / receipt).touch()
    assert install_command("train") == command

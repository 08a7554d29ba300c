"""Asking the file system about paths that users name: never an exception, always the reason."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from unprivileged import unprivileged

from arc_core.base import paths
from arc_core.base.errors import ConfigError

LONG = "x" * 300


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody but root can look into, with a file in it."""
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "file").touch()
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


@pytest.mark.parametrize("ask", [paths.is_dir, paths.is_file, paths.is_link, paths.exists, paths.is_taken])
def test_nothing_is_there_for_who_may_not_look_and_under_names_that_cannot_be(ask, closed: Path):
    with unprivileged():
        with pytest.raises(PermissionError):
            (closed / "file").lstat()  # the folder is really closed
        assert ask(closed / "file") is False
        assert ask(closed / LONG) is False
    assert ask(Path(LONG)) is False
    assert ask(Path("with\0null")) is False


def test_listing_leaves_out_what_is_closed(closed: Path):
    with unprivileged():
        assert paths.entries(closed) == []
        assert paths.entries(closed.parent) == [closed]
        assert paths.matching(closed.parent, "*/*") == []
        assert paths.files_below(closed.parent) == []
        assert paths.bytes_of(closed / "file") is None
        assert paths.modified(closed / "file") == 0.0
    closed.chmod(0o700)
    assert paths.matching(closed.parent, "*/*") == paths.files_below(closed.parent) == [closed / "file"]


def test_refusal_says_why_in_the_systems_words(closed: Path):
    with unprivileged():
        assert paths.refusal(closed) == "Permission denied"
        assert paths.refusal(closed / "file") == "Permission denied"
        assert paths.refusal(closed.parent) is None
    assert paths.refusal(Path(LONG)) == "File name too long"
    assert paths.refusal(closed.parent / "none") is None


def test_home_is_expanded_and_an_unknown_one_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert paths.full_path("~/runs") == paths.full_path("runs") == tmp_path / "runs"
    assert paths.full_path("./~") == tmp_path / "~"
    assert paths.expanded("runs") == Path("runs")
    with pytest.raises(ConfigError, match=r"The home folder ~nobody-of-this-name of ~nobody-of-this-name/x "):
        paths.full_path("~nobody-of-this-name/x")
    with pytest.raises(ConfigError, match=r"a\\x00b is no path: it holds a null character"):
        paths.full_path("a\0b")


def test_own_folder_of_a_user_without_a_home_is_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert not paths.exists(paths.own_folder("XDG_CONFIG_HOME", "~/.config"))

"""Who may look at the page, and who may steer."""

from pathlib import Path

import pytest

from arc_core.base.errors import ConfigError, RunError
from arc_tui.serve.access import TOKEN, Access, is_loopback, is_same_origin, token_of

GIVEN = "0123456789abcdef-_.~"


def test_token_is_new_at_every_start_unless_it_is_given(tmp_path: Path):
    first, second = token_of(None, {}), token_of(None, {})
    assert first != second
    assert len(first) >= 43, "256 bits"
    assert token_of(None, {TOKEN: GIVEN}) == GIVEN
    file = tmp_path / "token"
    file.write_text(f"{GIVEN}file\n")
    file.chmod(0o600)
    assert token_of(file, {TOKEN: GIVEN}) == f"{GIVEN}file"


@pytest.mark.parametrize(
    "given", ["", "short", "with space and more", "x" * 513, "ümlauteümlauteümlaute", "a\nb" * 9]
)
def test_token_that_is_none_is_refused_without_being_repeated(given: str):
    with pytest.raises(
        ConfigError, match=f"{TOKEN} in the environment is no token: one has 16 to 512"
    ) as told:
        token_of(None, {TOKEN: given})
    assert not given or given not in str(told.value)


def test_file_of_the_token_is_closed_to_others_and_regular(tmp_path: Path):
    file = tmp_path / "token"
    with pytest.raises(ConfigError, match=r"Cannot read .*token: No such file"):
        token_of(file)
    file.write_text(GIVEN)
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="holds secrets and is open to others: chmod 600") as told:
        token_of(file)
    assert GIVEN not in str(told.value)
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(RunError, match="no regular file"):
        token_of(tmp_path / "link")


@pytest.mark.parametrize("here", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "localhost"])
def test_loopback_is_this_machine(here: str):
    assert is_loopback(here)
    assert Access(GIVEN).may_steer(here, {})


@pytest.mark.parametrize(
    "other", ["10.0.0.1", "192.168.1.2", "fe80::1%eth0", "::ffff:10.0.0.1", "2001:db8::1", None, ""]
)
def test_other_machines_only_look(other: str | None):
    assert not is_loopback(other)
    assert not Access(GIVEN).may_steer(other, {})
    assert Access(GIVEN, read_only=False).may_steer(other, {})


def test_whom_a_proxy_lets_in_only_looks():
    assert not Access(GIVEN).may_steer("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"})
    assert not Access(GIVEN, read_only=True).may_steer("127.0.0.1", {})


@pytest.mark.parametrize("given", [None, "", GIVEN[:-1], GIVEN + "x", GIVEN.upper(), "schlüssel"])
def test_only_the_token_is_known(given: str | None):
    assert Access(GIVEN).knows(GIVEN)
    assert not Access(GIVEN).knows(given)


def test_token_is_in_no_representation():
    assert GIVEN not in repr(Access(GIVEN))


def test_name_that_was_led_here_is_not_answered():
    here, everywhere = Access(GIVEN), Access(GIVEN, only_here=False)
    for own in ("127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LOCALHOST"):
        assert here.is_own_host(own)
    for foreign in (
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
        "[",
        "[x]:1",
    ):
        assert not here.is_own_host(foreign), foreign
    assert everywhere.is_own_host("gpu1.lab:8000")


def test_page_of_another_site_is_not_the_same_origin():
    assert is_same_origin("http://127.0.0.1:8000", "127.0.0.1:8000")
    assert is_same_origin("https://GPU1.lab", "gpu1.lab")
    for origin in (
        None,
        "",
        "null",
        "http://127.0.0.1:9000",
        "http://evil.example",
        "file://",
        "http://127.0.0.1:80001",
    ):
        assert not is_same_origin(origin, "127.0.0.1:8000"), origin

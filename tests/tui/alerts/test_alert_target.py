"""Where alerts may go, and that no secret is typed, told or shown."""

import json
from pathlib import Path

import pytest

from arc_core.base.errors import ArcError, ConfigError
from arc_tui.alerts.message import Alert, Occasion, posted
from arc_tui.alerts.target import TOKEN, Target, TargetKind, check_typed, target_of, without_address
from arc_tui.ui.settings import load_settings

SECRET = "s3cr3t"
ALERT = Alert(Occasion.CRASH, "demo", "demo has crashed", 'At "step" 5 & <!channel> $text.')


def file_of(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "alert"
    path.write_text(text)
    path.chmod(mode)
    return f"file:{path}"


@pytest.mark.parametrize(
    "given",
    [
        *("ntfy.sh/topic", "", "//host/x", "ftp://host/x", "https://", "https:///x", "env:", "file:"),
        *(f"{SECRET}", f"https://host:{SECRET}/", f"https://host/\x1b[2J{SECRET}", f"https://[{SECRET}/"),
        *(f"https://host/ {SECRET}", f"https://hö.example/{SECRET}", f"env:{SECRET}-", "env:A B"),
    ],
)
def test_what_is_no_address_is_refused_by_one_sentence_that_does_not_repeat_it(given: str):
    with pytest.raises(ConfigError, match=r"^An alert's address is https://HOST.*none of them\.$") as caught:
        check_typed(given)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        f"https://hooks.slack.com/services/{SECRET}",
        f"https://discord.com/api/webhooks/1/{SECRET}",
        f"https://canary.discordapp.com/api/webhooks/1/{SECRET}",
        f"https://user:{SECRET}@ntfy.example/topic",
        f"https://ntfy.example/topic?auth={SECRET}",
    ],
)
def test_an_address_that_is_a_secret_is_not_taken_where_others_can_read_it(given: str, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"holds a secret, .*file:PATH.*env:NAME") as caught:
        target_of(given)
    assert SECRET not in str(caught.value)
    assert target_of("env:HOOK", {"HOOK": given}).url == given
    target = target_of(file_of(tmp_path, f"{given}\n"), {})
    assert target.url == given
    assert SECRET not in repr(target) + target.shown


def test_the_settings_refuse_it_with_file_and_line(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text(f'bell = true\nalert = "https://hooks.slack.com/services/{SECRET}"\n')
    with pytest.raises(
        ConfigError, match=r"config\.toml, line 2: The address at hooks\.slack\.com"
    ) as caught:
        load_settings(path)
    assert SECRET not in str(caught.value)
    path.write_text('alert = "env:HOOK"\non_best = false\n')
    assert load_settings(path).alert == "env:HOOK"


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        (f"https://ntfy.sh/{SECRET}", 0o644, "open to others: chmod 600 "),
        (f"https://ntfy.sh/{SECRET}", 0o620, "open to others: chmod 600 "),
        (f"ntfy.sh/{SECRET}", 0o600, "neither an address alone nor TOML"),
        (f'url = "ntfy.sh/{SECRET}"', 0o600, "has none"),
        (f'token = "{SECRET}"', 0o600, "has none"),
        (f'url = "https://h/"\ntokn = "{SECRET}"', 0o600, "tokn is no key of it; there are url, kind, token"),
        ('url = "https://h/"\ntoken = 7', 0o600, "token cannot be that"),
        (f'url = "https://h/"\nkind = "{SECRET}"', 0o600, "kind must be ntfy, slack, discord, webhook"),
        (f'url = "https://h/"\ntoken = "{SECRET}\\nX: y"', 0o600, "a header or the token is no line"),
        (f'url = "https://h/"\ntemplate = {{ a = ["$x {SECRET}"] }}', 0o600, r"a \$ that is none of \$run"),
        ('url = "https://h/"\ntemplate = { a = 2026-01-01 }', 0o600, "what JSON does not know"),
        ('url = "https://h/"\nkind = "webhook"', 0o600, "a webhook has a template"),
        ('url = "https://h/"\nkind = "slack"\ntemplate = { a = "b" }', 0o600, "nothing else has"),
    ],
)
def test_a_file_that_is_wrong_is_named_without_what_it_holds(
    tmp_path: Path, text: str, mode: int, sentence: str
):
    given = file_of(tmp_path, text, mode)
    with pytest.raises(ConfigError, match=sentence) as caught:
        target_of(given, {})
    assert SECRET not in str(caught.value)
    assert str(tmp_path / "alert") in str(caught.value)


def test_a_file_or_variable_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"Cannot read .*nowhere: No such file"):
        target_of(f"file:{tmp_path}/nowhere", {})
    with pytest.raises(ConfigError, match=r"The environment has no HOOK,"):
        target_of("env:HOOK", {"HOOK": ""})
    (tmp_path / "link").symlink_to(file_of(tmp_path, "https://h/").removeprefix("file:"))
    with pytest.raises(ArcError, match="link"):
        target_of(f"file:{tmp_path}/link", {})


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://ntfy.sh/mine", TargetKind.NTFY),
        ("https://hooks.slack.com/services/x", TargetKind.SLACK),
        ("https://discord.com/api/webhooks/1/x", TargetKind.DISCORD),
        ("https://notdiscord.com/api/webhooks/1/x", TargetKind.NTFY),
    ],
)
def test_the_host_says_what_is_posted(url: str, kind: TargetKind):
    assert target_of("env:X", {"X": url}).kind is kind


def test_a_token_goes_where_it_is_wanted_and_not_to_slack(tmp_path: Path):
    bearer = {"Authorization": f"Bearer {SECRET}"}
    assert target_of("https://ntfy.sh/mine", {TOKEN: SECRET}).headers == bearer
    assert target_of(file_of(tmp_path, f'url = "https://h/"\ntoken = "{SECRET}"'), {}).headers == bearer
    assert target_of("env:X", {TOKEN: SECRET, "X": "https://hooks.slack.com/services/x"}).headers == {}


def test_each_service_gets_its_own_form():
    body, headers = posted(ALERT, Target("https://h/", TargetKind.NTFY, {"Authorization": "x"}))
    assert (body.decode(), headers["Title"]) == (ALERT.text, ALERT.title)
    assert (headers["Priority"], headers["Authorization"]) == ("5", "x")
    slack, _ = posted(ALERT, Target("https://h/", TargetKind.SLACK))
    assert slack == (b'{"text": "*demo has crashed*\\nAt \\"step\\" 5 &amp; &lt;!channel&gt; $text."}')
    discord, _ = posted(ALERT, Target("https://h/", TargetKind.DISCORD))
    assert b'"allowed_mentions": {"parse": []}' in discord


def test_a_template_is_filled_as_json_whatever_the_texts_hold(tmp_path: Path):
    text = (
        'url = "https://h/"\n[template]\nevent = "$event"\npriority = 5\n'
        'blocks = [{ body = "$title: $text", cost = "$$5" }]'
    )
    target = target_of(file_of(tmp_path, text), {})
    assert target.kind is TargetKind.WEBHOOK
    body, headers = posted(ALERT, target)
    assert json.loads(body) == {
        "event": "crash",
        "priority": 5,
        "blocks": [{"body": f"{ALERT.title}: {ALERT.text}", "cost": "$5"}],
    }
    assert headers["Content-Type"] == "application/json"


def test_run_json_keeps_no_address():
    argv = ["arc-tui", "train", "--alert", "https://h/x", "--name", "a", "--alert=https://h/y\nz"]
    assert without_address(argv) == ["arc-tui", "train", "--alert", "...", "--name", "a", "--alert=..."]

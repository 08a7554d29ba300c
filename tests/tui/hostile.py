"""Five hundred texts that terminals, markup parsers and layouts would rather not meet, and runs of them."""

from __future__ import annotations

import itertools
import random
import unicodedata
from pathlib import Path
from typing import Any

from raw_events import Line
from recordings import console_events, make_run

from arc_core.base.text import is_printable
from arc_core.run.directory import RunDirectory

_SEEDS = [
    "\x1b]52;c;RVZJTA==\x07",
    "\x1b]0;title\x1b\\",
    "\x1b[2J\x1b[H",
    "\x1b[?1049l\x1b[?25h",
    "\x1bP+q544e\x1b\\",
    "\x9b31mred",
    "\x9d8;;http://x\x9c",
    "\x1b]8;;http://evil\x07link\x1b]8;;\x07",
    "\x00\x01\x02\x7f",
    "\x08\x08\x08\x0b\x0c",
    "\r\nsecond\r\n",
    "\ttab\tto\ttab",
    "\u202eright to left\u202c",
    "\u2066\u2067isolates\u2069",
    "zero\u200bwidth\ufeff",
    "\u2028line\u2029paragraph",
    "[red]markup[/red]",
    "[/",
    "[@click=app.exit]exit[/]",
    "[link=file:///etc/passwd]x[/link]",
    "\\[escaped",
    "{0.__class__}%s%n$HOME`id`",
    "<script>alert(1)</script>&amp;",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "e\u0301\u0302\u0303\u0304 combining",
    "漢字かな全角",
    "\ud800 lone",
    "\ue000 private",
    "\U000e0041 tag",
    "x" * 5000,
    " ",
    "",
]
COUNT = 500


def hostile_texts() -> list[str]:
    """Return the texts: each by itself, in pairs, and mixed with harmless words."""
    chance = random.Random(7)
    texts = list(_SEEDS)
    pairs = [first[:200] + second[:200] for first, second in itertools.permutations(_SEEDS, 2)]
    texts += chance.sample(pairs, 300)
    while len(texts) < COUNT:
        code = chance.choice([*range(32), *range(127, 160), 0x202E, 0x2066, 0xFEFF, 0x1F600])
        texts.append(f"word {chr(code)} {chance.choice(_SEEDS)[:80]} word")
    return texts


def spoiled(value: object, text: str) -> object:
    """Return a value with every text in it replaced; keys are kept."""
    if isinstance(value, dict):
        return {key: spoiled(part, text) for key, part in value.items()}
    if isinstance(value, list):
        return [spoiled(part, text) for part in value]
    return text if isinstance(value, str) else value


def hostile_events(texts: list[str]) -> list[Line]:
    """Return the recorded run with a hostile text in place of every text, another one in each event."""
    kept = ("type", "phase", "command")
    result: list[Line] = []
    for event, text in zip(console_events(), itertools.cycle(texts)):
        changed = {name: value if name in kept else spoiled(value, text) for name, value in event.items()}
        if event["type"] == "command_applied" and event["command"] == "set":
            changed["new"] = {text: text}
        if event["type"] == "step" and event["nonfinite"]:
            changed["nonfinite"] = [text] * 3
        result.append(changed)
    return result


def hostile_run(runs_dir: Path, texts: list[str], name: str = "hostile") -> RunDirectory:
    """Make a run whose events, run.json and engine.log hold hostile texts."""
    run = make_run(runs_dir, hostile_events(texts), name)
    content: dict[str, Any] = {key: spoiled(value, texts[0]) for key, value in run.read().items()}
    content["notes"] = [{"time": 1.0, "text": texts[1]}]
    run.write(content)
    log = "\n".join(texts[:40]).encode("utf-8", "surrogatepass")
    run.engine_log.write_bytes(log)
    return run


def obeyed(text: str) -> set[str]:
    """Return the characters of a text, line ends aside, that a terminal would obey or hide."""
    return {f"{ord(c):04x} {unicodedata.category(c)}" for c in text if c != "\n" and not is_printable(c)}

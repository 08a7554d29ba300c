"""Data sets laid out as their authors publish them, of a few small tasks each."""

import json
from pathlib import Path

from generated_pairs import make_zip

MINI_NAMES = (
    "1,3,5th_go_down,_2,4th_go_up_l6abuzscmjgg12f0mdc",
    "Flip_color!_l6ab8jog1gzd12hofpc",
    "Eunji_Delete all except blocks in pink's view_l6aekdd9ag9d5758ucw",
    "2x2_grid_at_the_bottom-right_indicates_the_rotation_for_the_3x3_grid_on_the_upper-left_l6aajdd8e987ucg7wmp",
)


def task(cells=1):
    """A task that turns 1 to 2, in rows of so many cells."""
    pair = {"input": [[1] * cells], "output": [[2] * cells]}
    return {"train": [pair, pair], "test": [pair]}


def write(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def concept_arc(folder: Path) -> Path:
    """`corpus/CONCEPT/CONCEPTN.json`, and a file that a Mac leaves."""
    for concept in ("AboveBelow", "Center", "Copy"):
        for number in (1, 2, 10):
            write(folder / "corpus" / concept / f"{concept}{number}.json", task(number))
        write(folder / "corpus" / concept / ".DS_Store", "not JSON")
    return folder / "corpus"


def one_d_arc(folder: Path) -> Path:
    """`dataset/KIND/KIND_N.json`; a row of the second kind is longer than any of ARC's."""
    for kind, cells in (("1d_fill", 20), ("1d_move_1p", 32)):
        for number in range(3):
            write(folder / "dataset" / kind / f"{kind}_{number}.json", task(cells if number == 2 else 5))
    return folder / "dataset"


def mini_arc(folder: Path) -> Path:
    """`data/MiniARC/SENTENCE_KEY.json`."""
    for name in MINI_NAMES:
        write(folder / "data" / "MiniARC" / f"{name}.json", task(5))
    return folder / "data" / "MiniARC"


def barc(path: Path, count=3) -> Path:
    """JSON lines of `source`, `examples` as pairs, and `seeds`."""
    line = {"source": "def main(x):\n    return x", "examples": [[[[n]], [[n + 1]]] for n in range(4)]}
    return write(path, "".join(json.dumps(line | {"seeds": ["0ca9ddb6.py"]}) + "\n" for _ in range(count)))


def re_arc(path: Path, pairs=20) -> Path:
    """`re_arc.zip` with `re_arc/tasks/ID.json`; the first pair of the second task is too tall."""
    good = [{"input": [[n % 10]], "output": [[n % 10] * 2]} for n in range(pairs)]
    tall = {"input": [[0]] * 33, "output": [[1]]}
    files = {"re_arc/tasks/007bbfb7.json": good, "re_arc/tasks/00d62c1b.json": [tall, *good]}
    return make_zip(path, {**files, "re_arc/metadata.json": {"007bbfb7": {}}})

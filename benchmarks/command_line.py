"""How much processor time a Tab key, `--help` and a short command take; also beside another checkout.

    python -m benchmarks.command_line [--rounds 12] [--beside FOLDER]

Each command is a process of its own; rounds go through all of them in turn, and the least of each counts, as
others on the machine only ever make it more.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parents[1]
LINES = (
    "",
    "pause ",
    "status a",
    "train --set ",
    "train --resume ",
    "solve 00",
    "eval --set ",
    "attach --theme ",
)


def asked_by(shell: str, line: str) -> dict[str, str]:
    """The variables by which a shell asks what goes on a line that ends at the cursor."""
    words = ["arc-tui", *line.split(" ")]
    return {
        "_ARC_TUI_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": f"arc-tui {line}",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }


def milliseconds(source: Path, arguments: list[str], variables: dict[str, str], folder: str) -> float:
    """Processor time of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": str(source)} | variables,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--beside", type=Path, help="another checkout, which takes turns with this one")
    given = parser.parse_args()
    sources = [HERE, *([given.beside.absolute()] if given.beside else [])]
    program = ["-m", "arc_tui.cli"]
    cases: dict[str, tuple[list[str], dict[str, str]]] = {
        "python -c pass": (["-c", "pass"], {}),
        "arc-tui --help": ([*program, "--help"], {}),
        "arc-tui runs": ([*program, "runs"], {}),
    }
    for shell in ("bash", "zsh", "fish"):
        for line in LINES:
            cases[f"{shell}: arc-tui {line}<Tab>"] = (program, asked_by(shell, line))
    least: dict[tuple[str, Path], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(given.rounds):
            for name, (arguments, variables) in cases.items():
                for source in sources:
                    took = milliseconds(source, arguments, variables, folder)
                    least[name, source] = min(took, least.get((name, source), took))
    for name in cases:
        here = least[name, HERE]
        beside = "".join(
            f"  beside {least[name, s]:6.1f} ms, ratio {here / least[name, s]:.2f}" for s in sources[1:]
        )
        print(f"{name:40s} {here:6.1f} ms{beside}")


if __name__ == "__main__":
    main()

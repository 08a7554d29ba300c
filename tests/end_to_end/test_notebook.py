"""The notebook of docs does what it says: its cells run one after the other, as Colab would run them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from command import ARC_TUI, PATIENCE_SECONDS, environment

NOTEBOOK = Path(__file__).parents[2] / "docs" / "colab.ipynb"
SMALLER = {"BATCHES": 4, "SECONDS": 2}
"""What a test has no time for."""


def sources() -> list[str]:
    """The code of each cell, with smaller numbers."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for name, value in SMALLER.items():
        pattern = rf"^{name} = \d+$"
        assert any(re.search(pattern, source, re.MULTILINE) for source in code)
        code = [re.sub(pattern, f"{name} = {value}", source, flags=re.MULTILINE) for source in code]
    return code


def run_cell(source: str, folder: Path, names: dict[str, Any]) -> str:
    """Run a cell: lines that begin with `!` by the shell, the others as Python; returns what was printed."""
    said = ""
    lines = source.splitlines()
    exec("\n".join(line for line in lines if not line.startswith(("!", "%"))), names)
    for line in lines:
        if line.startswith("!"):
            command = line[1:].format(**{name: names[name] for name in SMALLER if name in names})
            words = environment(folder) | {"PATH": f"{ARC_TUI.parent}:/usr/bin:/bin"}
            done = subprocess.run(
                command,
                shell=True,
                cwd=folder,
                env=words,
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
            assert done.returncode == 0, f"{command}: {done.stderr}"
            said += done.stdout
    return said


@pytest.mark.slow
def test_cells_train_report_resume_and_solve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shown: list[str] = []
    display = ModuleType("IPython.display")
    vars(display)["HTML"] = shown.append
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    install, *cells = sources()
    assert install == "%pip install --quiet 'arc-tui[train]'"
    said = [run_cell(source, tmp_path, names) for source in cells]
    assert "Finished: completed" in said[0]
    assert "Run colab: finished" in said[1]
    (page,) = shown
    assert "&lt;!doctype html&gt;" in page[:200].lower()
    assert "colab" in page
    assert "[Epoch 1 Summary]" in said[-2]
    assert "[Epoch 0 Summary]" not in said[-2]
    assert json.loads(said[-1])["task"] == "0d3d703e"

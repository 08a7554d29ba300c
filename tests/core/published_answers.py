"""Answers laid out as arc-agi-benchmarking and VARC publish theirs."""

import json
from pathlib import Path


def attempt(answer, task="a", pair_index=0, test_id="sample-config"):
    """An attempt with all that arc-agi-benchmarking writes beside the answer."""
    return {
        "answer": answer,
        "metadata": {
            "model": "sample-model",
            "provider": "sample",
            "start_timestamp": "2025-01-01T00:00:00Z",
            "end_timestamp": "2025-01-01T00:00:01Z",
            "choices": [{"index": 0, "message": {"role": "user", "content": "left out"}}],
            "reasoning_summary": None,
            "kwargs": {},
            "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20},
            "cost": {"prompt_cost": 0.0, "completion_cost": 0.0, "total_cost": 0.0},
            "task_id": task,
            "pair_index": pair_index,
            "test_id": test_id,
        },
        "correct": None,
    }


def write_benchmarking(folder: Path, answers) -> Path:
    """A folder of `ID.json`; answers are for each task and test input a list of attempts' grids."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, inputs in answers.items():
        entries = [
            {
                f"attempt_{place}": None if grid is None else attempt(grid, task, index)
                for place, grid in enumerate(grids, 1)
            }
            for index, grids in enumerate(inputs)
        ]
        (folder / f"{task}.json").write_text(json.dumps(entries, indent=4))
    (folder / "results.json").write_text(json.dumps({"score": 0, "task_results": {}}))
    return folder


def write_varc(folder: Path, draws) -> Path:
    """A folder of `ID_predictions.json`; draws are for each task and test input a list of grids."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, inputs in draws.items():
        content = {str(index): grids for index, grids in enumerate(inputs)}
        (folder / f"{task}_predictions.json").write_text(json.dumps(content))
    return folder

"""A scorer of submissions that is independent of the project's."""

import json


def kaggle_score(submission_path, solutions_path):
    """What Kaggle's page of the ARC Prize says, and no code of the project.

    "For each task output in the evaluation set you make exactly 2 predictions (attempt_1, attempt_2). [...]
    For a given task output, if any of the 2 predicted outputs matches the ground truth exactly, you score 1
    for that task test output, otherwise 0. The final score is the sum of the scores divided by the total
    number of task test outputs." All task ids must be there, entries in the order of the test inputs, and
    both attempts even if only one is meant.
    """
    answers = json.loads(submission_path.read_text())
    truth = json.loads(solutions_path.read_text())
    points = outputs = 0
    assert set(answers) == set(truth), "every task must be answered"
    for task in truth:
        assert isinstance(answers[task], list)
        assert len(answers[task]) == len(truth[task])
        for entry, wanted in zip(answers[task], truth[task], strict=True):
            assert set(entry) == {"attempt_1", "attempt_2"}
            for grid in entry.values():
                assert isinstance(grid, list)
                assert 1 <= len(grid) <= 30
                assert all(isinstance(row, list) and len(row) == len(grid[0]) for row in grid)
                assert all(type(cell) is int and 0 <= cell <= 9 for row in grid for cell in row)
            outputs += 1
            points += wanted in (entry["attempt_1"], entry["attempt_2"])
    return points / outputs

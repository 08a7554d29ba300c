"""What comes of an evaluation: its tasks found again, its submission, and its scores. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from arc_core.base.files import write_json_atomic
from arc_core.data.kaggle import Attempts, known_outputs, submission, with_known_outputs
from arc_core.data.scoring import Report, score
from arc_core.data.seen import tasks_again
from arc_core.data.tasks import Split, Task
from arc_core.evaluation.folder import Assignment, EvalFolder, TaskAnswer, voted


def asked_tasks(assignment: Assignment) -> tuple[Task, ...]:
    """Find the tasks that an evaluation asks, with what is known of their outputs.

    Raises:
        DataError: If they are not there any more.
    """
    split: Split = "evaluation" if assignment.split == "evaluation" else "training"
    return tasks_again(assignment.dataset, split, assignment.tasks)


def conclude(folder: EvalFolder, tasks: Sequence[Task]) -> Report | None:
    """Write submission.json, and where the outputs are known score it into results.json.

    Args:
        folder: Whose tasks are all done, or have failed for good.
        tasks: The same tasks with what is known of their outputs.

    Returns:
        The scores of the tasks whose outputs are known; None where none is.
    """
    answers = folder.answers()
    write_json_atomic(folder.submission, submission(voted(answers)))
    known, hidden = with_known_outputs(tasks)
    if not known:
        return None
    targets = known_outputs(known)
    scored = {task: answers[task] for task in targets}
    report = score(voted(scored), targets, known)
    solved = report.by_task()
    assignment = folder.assignment()
    seconds = [answer.seconds for answer in answers.values()]
    content = {
        "protocol": assignment.to_json() | {"transductive": assignment.transductive},
        "scores": report.to_json(),
        "not_scored": [task.id for task in hidden],
        "single_view": score(_single_view(scored), targets, known).to_json(),
        "seconds": {"total": sum(seconds), "per_task": sum(seconds) / len(seconds), "of": assignment.device},
        "fit": sum(answer.fit == answer.demonstrations for answer in answers.values()),
        "tasks": {
            name: {
                "solved": solved.get(name),  # null where the outputs are not known
                "steps": answer.steps,
                "seconds": answer.seconds,
                "fit": [answer.fit, answer.demonstrations],
                "confidence": [list(x.confidence) for x in answer.inputs],
                **({} if answer.failure is None else {"failure": answer.failure}),
            }
            for name, answer in answers.items()
        },
    }
    write_json_atomic(folder.results, content)
    return report


def _single_view(answers: dict[str, TaskAnswer]) -> dict[str, tuple[Attempts, ...]]:
    """What a submission without votes would be: the answer under the task's own view, as both attempts."""
    return {task: tuple(Attempts(x.single, x.single) for x in a.inputs) for task, a in answers.items()}

"""How many tasks the output-size rules cover: `python -m benchmarks.size_rules`.

A task counts where the size of every test output is right. The test outputs are looked at here to score
the rules; the rules never see them.
"""

from collections import Counter

from arc_core.data.sizes import NO_RULE, RULES, size_guesses
from arc_core.data.tasks import Split, load_tasks

SETS: tuple[tuple[str, Split], ...] = (
    ("arcagi1", "training"),
    ("arcagi1", "evaluation"),
    ("arcagi2", "training"),
    ("arcagi2", "evaluation"),
)


def main() -> None:
    """Print one line of a table for each set."""
    names = (*RULES, NO_RULE)
    print("| tasks | first guess | two guesses | " + " | ".join(names) + " |")
    print("|---" * (3 + len(names)) + "|")
    for dataset, split in SETS:
        tasks = load_tasks(dataset, split).tasks
        fires: Counter[str] = Counter()
        right: Counter[str] = Counter()
        within_two = 0
        for task in tasks:
            guesses = [size_guesses(task.train, pair.input) for pair in task.test]
            wanted = [pair.output.shape for pair in task.test if pair.output is not None]
            first = all(g and g[0].size == size for g, size in zip(guesses, wanted, strict=True))
            within_two += all(
                size in [guess.size for guess in g[:2]] for g, size in zip(guesses, wanted, strict=True)
            )
            rule = guesses[0][0].rule if guesses[0] else NO_RULE
            fires[rule] += 1
            right[rule] += first
        cells = [f"{right[name]} of {fires[name]}" for name in names]
        total = len(tasks)
        shares = [f"{right.total() / total:.1%}", f"{within_two / total:.1%}"]
        print(f"| {dataset} {split}, {total} | " + " | ".join(shares + cells) + " |")


if __name__ == "__main__":
    main()

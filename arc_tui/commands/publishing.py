"""What `arc-tui export --hub` does: weights of a run and their card, shown and sent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from arc_core.base.errors import ConfigError
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory
from arc_tui.commands.output import echo

if TYPE_CHECKING:
    from arc_tui.hub.sending import Destination


def publish(run: RunDirectory, typed: str, number: int | None, *, private: bool) -> None:
    """Send the weights of a run to a hub, and say what is sent before that.

    Args:
        run: The run.
        typed: The repository, as it was typed.
        number: Id of the checkpoint; None takes the best that is there, else the newest.
        private: Whether a new repository is to be private.

    Raises:
        ArcError: If anything about it is refused; nothing is sent then.
    """
    # Here, as other exports need none of it.
    from arc_core.evaluation.pipeline_start import newest_usable
    from arc_core.run.checkpoint_index import checkpoint_id, find_checkpoint, list_checkpoints
    from arc_core.solver.weights_file import read_notes, sha256_of
    from arc_tui.hub.names import hub_name
    from arc_tui.hub.sending import CARD, find_destination
    from arc_tui.hub.weights import WEIGHTS
    from arc_tui.report.card import Sent, model_card
    from arc_tui.report.record import read_record
    from arc_tui.runs.checkpoints import best_id
    from arc_tui.runs.exporting import weights_of
    from arc_tui.runs.fields import size

    name = hub_name(typed)
    if name is None or name.typed != name.repo:
        raise ConfigError(f'--hub is "{printable(typed, 200)}", but must be USER/REPO.')
    destination = find_destination(name, private=private)
    best = best_id(run.checkpoints)
    if number is None and best in {checkpoint_id(path) for path in list_checkpoints(run.checkpoints)}:
        number = best
    chosen = newest_usable(run) if number is None else find_checkpoint(run.checkpoints, number)
    number = checkpoint_id(chosen)
    weights = weights_of(run, number)
    record = read_record(run, time.time())
    sent = Sent(name.repo, number, number == best, read_notes(weights), sha256_of(weights))
    card = model_card(record, sent)
    echo(_where(destination))
    step = printable(str(sent.notes.recipe.get("step")), 20)
    echo(f"  {WEIGHTS}  {size(weights.stat().st_size)}: checkpoint {number}, step {step}")
    echo(
        f"  {CARD}  {size(len(card.encode()))}: data, options, validation and notes of {printable(run.name)}"
    )
    commit = destination.send(weights, card, f"Weights of {printable(run.name, 60)}, step {step}")
    echo(f"Sent as commit {commit[:12]}: {destination.host}/{name.repo}")


def _where(destination: Destination) -> str:
    """Say where it goes, and what becomes of what is there."""
    from arc_tui.hub.sending import SENT

    place = f"{destination.name.repo} on {destination.host}"
    seen = "private" if destination.private else "public"
    if destination.files is None:
        return f"To {place}, which is new and {seen}:"
    replaced = " and ".join(name for name in SENT if name in destination.files)
    gone = f"replaces {replaced}; " if replaced else ""
    kept = len(destination.files.difference(SENT))
    return f"To {place}, which is there already and {seen} ({gone}{kept} other files stay):"

"""The solver's net: padding, context, prompts and what each option changes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from arc_core.data.sizes import Placement
from arc_core.pipeline.canvas import Item, likeness, pack
from arc_core.pipeline.canvas_planner import CanvasPlanner, gather_ways, grid_losses, input_under_output
from arc_core.solver.config import SolverConfig

SMALL = {"width": 16, "prompt_dim": 12, "steps": 3, "context_dim": 4}


def grid(seed, *size):
    return np.random.default_rng(seed).integers(0, 10, size).astype(np.int8)


def item(seed, size=(4, 5), out=None, known=True, corner=(0, 0)):
    out = out or size
    target = grid(seed + 100, *out) if known else None
    return Item(grid(seed, *size), target, Placement(out, corner))


def zeros(count):
    return torch.zeros(count, SMALL["prompt_dim"])


def net(seed=0, **settings):
    torch.manual_seed(seed)
    made = CanvasPlanner(SolverConfig.from_mapping(SMALL | settings))
    for parameter in made.parameters():  # zeros of the start would hide what depends on what
        if parameter.abs().sum() == 0:
            torch.nn.init.normal_(parameter, std=0.1)
    return made


def test_a_padded_batch_says_what_its_items_say_alone():
    model = net()
    items = [item(1, (3, 7), (5, 2)), item(2, (9, 4), (9, 4)), item(3, (2, 2), (7, 7))]
    together = model(pack(items), zeros(3))
    for number, one in enumerate(items):
        alone = model(pack([one]), zeros(1))
        height, width = one.placement.size
        torch.testing.assert_close(
            together.logits[number, :, :height, :width],
            alone.logits[0, :, :height, :width],
            atol=2e-4,
            rtol=1e-3,
        )
        torch.testing.assert_close(together.size_logits[number], alone.size_logits[0], atol=2e-4, rtol=1e-3)


def test_an_aligned_batch_is_computed_as_any_other():
    model = net()
    batch = pack([item(1), item(2)])
    assert batch.aligned
    from dataclasses import replace

    torch.testing.assert_close(
        model(batch, zeros(2)).logits,
        model(replace(batch, aligned=False), zeros(2)).logits,
        atol=2e-4,
        rtol=1e-3,
    )


def test_no_target_reaches_any_prediction():
    model = net()
    items = [item(1), item(2), item(3)]
    changed = [Item(one.input, 9 - one.target, one.placement) for one in items]
    assert torch.equal(model(pack(items), zeros(3)).logits, model(pack(changed), zeros(3)).logits)


def test_a_learned_prompt_steers_its_own_item_alone():
    model = net()
    batch = pack([item(1), item(2)])
    shift = torch.zeros(2, SMALL["prompt_dim"])
    before = model(batch, shift).logits
    shift[1] += 1
    after = model(batch, shift).logits
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1])


def test_every_parameter_gets_a_gradient():
    model = net()
    batch = pack([item(1, (3, 3), (5, 4)), item(2, (6, 3), (2, 2)), item(3)])
    prompts = torch.ones(3, SMALL["prompt_dim"], requires_grad=True)
    planned = model(batch, prompts)
    sizes = F.cross_entropy(planned.size_logits.transpose(1, 2), batch.out_sizes - 1)
    (grid_losses(planned.logits[:, -1], batch).mean() + planned.logits.square().mean() + sizes).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert missing == []
    assert prompts.grad is not None
    assert (prompts.grad.abs().sum(dim=1) > 0).all()


def test_context_carries_across_the_grid_and_its_absence_does_not():
    reach = {}
    for context in (True, False):
        model = net(encoder_blocks=0, steps=1)
        block = model.planner[0]
        if not context:
            torch.nn.init.zeros_(block.out.weight[:, -3 * block.reduce.out_features :])
        one = item(1, (1, 24), known=False)
        moved = one.input.copy()
        moved[0, -1] = (moved[0, -1] + 1) % 10
        batches = [pack([Item(g, None, one.placement)]) for g in (one.input, moved)]
        # What the whole grid says on entering the planner is left out of this comparison.
        torch.nn.init.zeros_(model.transfer.whole.weight)
        with torch.no_grad():
            near, far = (model(batch, zeros(1)).logits[0, 0, 0, 0] for batch in batches)
        reach[context] = bool((near - far).abs().max() > 1e-6)
    assert reach == {True: True, False: False}


def test_a_grids_loss_is_the_mean_cross_entropy_of_its_own_cells():
    batch = pack([item(1, (3, 3), (5, 4)), item(2, (6, 3), (2, 2))])
    logits = net()(batch, zeros(2)).logits[:, 1]
    expected = [
        F.cross_entropy(logits[number, :h, :w].reshape(-1, 10), batch.targets[number, :h, :w].reshape(-1))
        for number, (h, w) in enumerate([(5, 4), (2, 2)])
    ]
    torch.testing.assert_close(grid_losses(logits, batch), torch.stack(expected))


def test_the_three_ways_lay_an_output_over_its_input_as_they_say():
    source = np.arange(6, dtype=np.int8).reshape(2, 3)
    batch = pack([Item(source, None, Placement((4, 6)))])
    cut, scaled, tiled = gather_ways(
        F.one_hot(batch.inputs.cells, 10).float() * batch.inputs.mask[..., None], batch
    )
    assert scaled[0].argmax(-1).tolist() == source.repeat(2, 0).repeat(2, 1).tolist()
    assert tiled[0].argmax(-1).tolist() == np.tile(source, (2, 2)).tolist()
    assert cut[0, :2, :3].argmax(-1).tolist() == source.tolist()
    assert cut[0, 2:].sum() == 0
    inner = pack([Item(source, None, Placement((1, 2), (1, 1)))])
    assert gather_ways(F.one_hot(inner.inputs.cells, 10).float(), inner)[0][0].argmax(-1).tolist() == [[4, 5]]
    assert likeness(source, np.tile(source, (2, 2)), Placement((4, 6)))[2] == 1.0
    assert likeness(source, source[1:, 1:], Placement((1, 2), (1, 1)))[0] == 1.0


def test_an_input_lies_under_its_output_in_the_way_that_the_task_copies_in():
    source = np.arange(6, dtype=np.int8).reshape(2, 3)
    whole = Placement((4, 6))
    ways = [Item(source, None, whole, copies=way) for way in range(3)]
    under = input_under_output(pack([*ways, Item(source, None, Placement((1, 2), (1, 1)))]))
    assert under[0].sum() == 6
    assert under[0, :2, :3].argmax(-1).tolist() == source.tolist()
    assert under[1].argmax(-1).tolist() == source.repeat(2, 0).repeat(2, 1).tolist()
    assert under[2].argmax(-1).tolist() == np.tile(source, (2, 2)).tolist()
    assert under[3, :1, :2].argmax(-1).tolist() == [[4, 5]]


def test_a_target_of_another_size_than_its_placement_is_a_mistake():
    with pytest.raises(ValueError, match="is placed as"):
        pack([Item(grid(0, 2, 2), grid(0, 2, 2), Placement((3, 3)))])

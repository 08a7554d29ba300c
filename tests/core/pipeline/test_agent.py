"""The agent: what it is given, how its steps hang together, and that padding says nothing."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from arc_core.pipeline.agent import ARCPromptGuidedAgentGPU, PlannerKind, one_hot
from arc_core.pipeline.batch import GridBatch

STEPS = 5
DrawGrids = Callable[..., list[np.ndarray]]


@pytest.fixture
def agent() -> ARCPromptGuidedAgentGPU:
    return ARCPromptGuidedAgentGPU(hidden_dim=32, prompt_dim=24, planner="seed")


@pytest.fixture
def grids(draw_grids: DrawGrids) -> list[np.ndarray]:
    return [*draw_grids(4, seed=1), np.array([[3]], dtype=np.int8)]


def last_step_loss(agent: ARCPromptGuidedAgentGPU, batch: GridBatch, prompt: Tensor) -> Tensor:
    logits, _ = agent(batch.cells, prompt, batch.mask)
    return F.cross_entropy(logits[:, -1].movedim(-1, 1), (batch.cells + 1) % 10)


def test_a_single_grid_has_the_seeds_shapes() -> None:
    agent = ARCPromptGuidedAgentGPU()
    with torch.no_grad():
        logits, output = agent(torch.randint(0, 10, (4, 7)), torch.randn(256))
    assert logits.shape == (STEPS, 4, 7, 10)
    assert logits.dtype == torch.float32
    assert output.size_logits.shape == (1, 2, 30)
    assert output.sizes.shape == (1, 2)


def test_a_batch_has_a_leading_axis(agent: ARCPromptGuidedAgentGPU, grids: list[np.ndarray]) -> None:
    batch = GridBatch.pad(grids)
    logits, output = agent(batch.cells, torch.randn(5, 24), batch.mask)
    assert logits.shape == (5, STEPS, *batch.canvas, 10)
    assert output.features.shape == (5, *batch.canvas, 32)
    assert output.size_logits.shape == (5, 2, 30)
    assert torch.equal(output.sizes, output.size_logits.argmax(dim=-1) + 1)


def test_colours_of_any_numeric_type_are_read(agent: ARCPromptGuidedAgentGPU) -> None:
    grid, prompt = torch.randint(0, 10, (3, 3)), torch.randn(24)
    for dtype in (torch.float32, torch.int8, torch.uint8):
        assert torch.equal(agent(grid.to(dtype), prompt)[0], agent(grid, prompt)[0])


def test_a_padded_batch_equals_its_singles(agent: ARCPromptGuidedAgentGPU, grids: list[np.ndarray]) -> None:
    batch, prompts = GridBatch.pad(grids), torch.randn(5, 24)
    logits, output = agent(batch.cells, prompts, batch.mask)
    for index, grid in enumerate(grids):
        single, alone = agent(torch.from_numpy(grid), prompts[index])
        height, width = grid.shape
        torch.testing.assert_close(logits[index, :, :height, :width], single, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(output.size_logits[index], alone.size_logits[0], rtol=1e-5, atol=1e-5)
        outside = logits[index] * (1 - batch.mask[index, None, :, :, None])
        assert (outside == 0).all()


@pytest.mark.parametrize("colour", [0, 7])
def test_more_padding_and_what_stands_in_it_change_nothing(
    agent: ARCPromptGuidedAgentGPU, grids: list[np.ndarray], colour: int
) -> None:
    batch, prompts = GridBatch.pad(grids), torch.randn(5, 24)
    height, width = batch.canvas
    mask = F.pad(batch.mask, (0, 3, 0, 2))
    cells = torch.where(mask > 0, F.pad(batch.cells, (0, 3, 0, 2)), colour)
    logits, output = agent(batch.cells, prompts, batch.mask)
    wider, other = agent(cells, prompts, mask)
    torch.testing.assert_close(wider[:, :, :height, :width], logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(other.size_logits, output.size_logits, rtol=1e-5, atol=1e-5)


def test_every_step_works_on_what_the_one_before_left(
    agent: ARCPromptGuidedAgentGPU, grids: list[np.ndarray]
) -> None:
    batch, prompts = GridBatch.pad(grids), torch.randn(5, 24)
    with torch.no_grad():
        before, _ = agent(batch.cells, prompts, batch.mask)
        for changed in range(STEPS):
            bias = agent.forward_planner.heads[changed].conv.bias
            kept = bias.clone()
            bias += 0.5
            after, _ = agent(batch.cells, prompts, batch.mask)
            bias.copy_(kept)
            moved = [(after[:, step] != before[:, step]).any().item() for step in range(STEPS)]
            assert moved == [step >= changed for step in range(STEPS)]


def test_the_last_steps_loss_alone_trains_every_head(
    agent: ARCPromptGuidedAgentGPU, grids: list[np.ndarray]
) -> None:
    last_step_loss(agent, GridBatch.pad(grids), torch.randn(5, 24)).backward()
    for step, head in enumerate(agent.forward_planner.heads):
        for name, parameter in head.named_parameters():
            # A head's colours are only what it says of its own step.
            if not name.startswith("colors") or step == STEPS - 1:
                assert parameter.grad is not None, f"{step}.{name}"
                assert parameter.grad.norm() > 0, f"{step}.{name}"
    for layer in (*agent.forward_planner.encoder, agent.forward_planner.fuse_prompt):
        assert layer.weight.grad.norm() > 0


def test_a_step_down_the_last_steps_gradient_lowers_its_loss(
    agent: ARCPromptGuidedAgentGPU, grids: list[np.ndarray]
) -> None:
    batch, prompts = GridBatch.pad(grids), torch.randn(5, 24)
    before = last_step_loss(agent, batch, prompts)
    before.backward()
    torch.optim.SGD(agent.parameters(), 1e-2).step()
    assert last_step_loss(agent, batch, prompts) < before


def test_the_prompts_bias_equals_a_convolution_over_features_and_prompt(
    agent: ARCPromptGuidedAgentGPU, grids: list[np.ndarray]
) -> None:
    batch, prompts = GridBatch.pad(grids), torch.randn(5, 24)
    planner = agent.forward_planner
    seen: list[Tensor] = []
    planner.heads[0].register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    features = agent.encode(batch.cells, batch.mask)
    planner.plan(features, prompts, batch.mask)
    everywhere = prompts[:, :, None, None].expand(-1, -1, *batch.canvas)
    kernel = torch.cat([planner.fuse_features.weight, planner.fuse_prompt.weight], dim=1)[:, :, None, None]
    fused = F.conv2d(
        torch.cat([features.permute(0, 3, 1, 2), everywhere], dim=1), kernel, planner.fuse_features.bias
    )
    torch.testing.assert_close(seen[0], F.gelu(fused).permute(0, 2, 3, 1), rtol=1e-5, atol=1e-5)


def test_every_pair_follows_its_own_prompt(agent: ARCPromptGuidedAgentGPU, grids: list[np.ndarray]) -> None:
    batch, prompts = GridBatch.pad(grids), torch.randn(5, 24)
    before, said = agent(batch.cells, prompts, batch.mask)
    prompts[2] += 1.0
    after, says = agent(batch.cells, prompts, batch.mask)
    for moved in ((after != before).flatten(1), (says.size_logits != said.size_logits).flatten(1)):
        assert moved.any(dim=1).tolist() == [False, False, True, False, False]


def test_the_size_follows_what_stands_in_the_grid_too(agent: ARCPromptGuidedAgentGPU) -> None:
    prompt = torch.randn(24)
    grid = torch.randint(0, 10, (4, 6))
    before, after = (agent(cells, prompt)[1].size_logits for cells in (grid, (grid + 3) % 10))
    assert not torch.equal(before, after)


def test_one_gain_says_as_the_input(agent: ARCPromptGuidedAgentGPU, grids: list[np.ndarray]) -> None:
    last = agent.size_head.body[2]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    batch, prompts = GridBatch.pad(grids), torch.randn(5, 24)
    with torch.no_grad():
        last.bias[-2:] = torch.tensor([3.0, 2.0])
    _, output = agent(batch.cells, prompts, batch.mask)
    assert torch.equal(output.sizes, batch.sizes)
    own = F.one_hot(batch.sizes - 1, 30).float()
    assert torch.equal(output.size_logits, own * torch.tensor([3.0, 2.0])[:, None])


def test_forward_reads_the_sizes_off_the_mask(
    agent: ARCPromptGuidedAgentGPU, grids: list[np.ndarray]
) -> None:
    batch, prompts = GridBatch.pad(grids), torch.randn(5, 24)
    _, output = agent(batch.cells, prompts, batch.mask)
    _, told = agent.plan(agent.encode(batch.cells, batch.mask), prompts, batch.mask, batch.sizes)
    assert torch.equal(output.size_logits, told.size_logits)


def test_reconstruct_plans_back_from_any_grid(
    agent: ARCPromptGuidedAgentGPU, grids: list[np.ndarray]
) -> None:
    batch, prompts = GridBatch.pad(grids), torch.randn(5, 24)
    plan = agent.reconstruct(one_hot(batch.cells, batch.mask), prompts, batch.mask)
    assert plan.shape == (5, STEPS, *batch.canvas, 10)
    alone = GridBatch.pad(grids[1:2])
    single = agent.reconstruct(one_hot(alone.cells, alone.mask), prompts[1:2], alone.mask)
    height, width = alone.canvas
    torch.testing.assert_close(plan[1:2, :, :height, :width], single, rtol=1e-5, atol=1e-5)
    cells = (torch.rand(5, *batch.canvas, 10) * batch.mask[..., None]).requires_grad_()
    agent.reconstruct(cells, prompts, batch.mask).square().sum().backward()
    assert cells.grad is not None
    assert cells.grad.norm() > 0


def test_the_backward_planner_is_a_quarter_as_wide_unless_told() -> None:
    def width(agent: ARCPromptGuidedAgentGPU) -> int:
        return agent.backward_planner.fuse_features.out_features

    assert width(ARCPromptGuidedAgentGPU(hidden_dim=64, prompt_dim=8)) == 16
    assert width(ARCPromptGuidedAgentGPU(hidden_dim=16, prompt_dim=8)) == 8
    assert width(ARCPromptGuidedAgentGPU(hidden_dim=16, prompt_dim=8, backward_dim=12)) == 12


@pytest.mark.parametrize("planner", ["canvas", "seed"])
@pytest.mark.parametrize("steps", [1, 3])
def test_there_are_as_many_steps_as_asked_for(steps: int, planner: PlannerKind) -> None:
    agent = ARCPromptGuidedAgentGPU(hidden_dim=8, prompt_dim=8, max_steps=steps, planner=planner)
    assert agent(torch.zeros(2, 2), torch.zeros(8))[0].shape == (steps, 2, 2, 10)


@pytest.mark.parametrize("shape", [(5,), (1, 1, 3, 3), (31, 3), (3, 31), (2, 3, 31)])
def test_a_grid_of_another_shape_is_refused_by_name(agent: ARCPromptGuidedAgentGPU, shape: tuple) -> None:
    with pytest.raises(ValueError, match=r"sides up to 30, not \(" + ", ".join(map(str, shape))):
        agent(torch.zeros(shape), torch.zeros(24))


def test_one_hot_sets_nothing_in_the_padding() -> None:
    cells, mask = torch.tensor([[[4, 0]]]), torch.tensor([[[1.0, 0.0]]])
    spread = one_hot(cells, mask)
    assert spread.sum() == 1
    assert spread[0, 0, 0, 4] == 1

"""The seed's step as its snippets write it: one pair at a time, two full forwards, nothing shared.

The models, terms and numbers are those of `arc_core.pipeline.step`; only the way of computing them differs.
It is what `throughput.py` measures against.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arc_core.pipeline.agent import Planner, one_hot
from arc_core.pipeline.batch import Batch
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.loss import TERMS
from arc_core.pipeline.loss_terms import hard_cell_weights
from arc_core.pipeline.reward import per_cell_accuracy, score_batch
from arc_core.pipeline.system import ArcSystem


def plan_naively(planner: Planner, cells: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
    """A full forward in which the prompt is a map of its own, concatenated before the 1x1 fusion.

    Args:
        planner: Whose weights are used.
        cells: [1, H, W, C] one-hot.
        prompt: [P].

    Returns:
        [T, H, W, C] logits, and the features' mean [1, D].
    """
    features = cells.permute(0, 3, 1, 2)
    for layer in planner.encoder:
        features = F.gelu(layer(features))
    spread = prompt[None, :, None, None].expand(-1, -1, *features.shape[-2:])
    weight = torch.cat([planner.fuse_features.weight, planner.fuse_prompt.weight], dim=1)
    both = torch.cat([features, spread], dim=1)
    fused = F.conv2d(both, weight[:, :, None, None], planner.fuse_features.bias)
    state = F.gelu(fused).permute(0, 2, 3, 1)
    mask = torch.ones(*state.shape[:3], 1)
    steps = []
    for head in planner.heads:
        state, logits = head(state, mask)
        steps.append(logits[0])
    return torch.stack(steps), features.mean(dim=(2, 3))


def resize_naively(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """The seed's step 9: [T, H, W, C] resized bilinearly."""
    moved = logits.permute(0, 3, 1, 2)
    return F.interpolate(moved, size=size, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def naive_system() -> ArcSystem:
    """The models with the seed's optimizer call and torch's ordinary memory layout, in float32."""
    system = ArcSystem(PipelineConfig(amp="off"), torch.device("cpu"))
    system.agent.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    groups = [{"params": group["params"], "lr": group["lr"]} for group in system.optimizer.param_groups]
    system.optimizer = torch.optim.Adam(groups, weight_decay=1e-6)
    return system


def naive_step(system: ArcSystem, batch: Batch) -> dict[str, float]:
    """Train on a batch of one pair.

    Args:
        system: The models; float32, as the seed's autocast is CUDA's alone.
        batch: One pair with its target.

    Returns:
        Every number of the step, each fetched by itself as the seed does.
    """
    assert batch.targets is not None
    agent, policy = system.agent, system.policy
    inp, out = batch.inputs.cells[0], batch.targets.cells[0]
    size = (out.shape[0], out.shape[1])

    # Step 2 and the memory.
    pack = system.qwen.encode(batch.prompt_inputs, system.config.control_weight)
    summary = batch.prompt_inputs.summary
    prompt = (pack.prompt_embedding + system.memory.recall(summary, batch.task_ids).addition)[0]

    def predict(with_prompt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A full forward with the size head: trajectory, size logits, the predicted grid's logits."""
        cells = one_hot(inp[None], torch.ones(1, *inp.shape))
        trajectory, pooled = plan_naively(agent.forward_planner, cells, with_prompt)
        sizes = agent.size_head(pooled, with_prompt[None], batch.inputs.sizes)
        height, width = (int(side) for side in sizes[0].argmax(dim=-1) + 1)
        return trajectory, sizes, resize_naively(trajectory[-1:], (height, width))[0]

    def reconstruct(cells: Tensor) -> Tensor:
        trajectory, _ = plan_naively(agent.backward_planner, cells[None], prompt.detach())
        return resize_naively(trajectory[-1:], (inp.shape[0], inp.shape[1]))[0]

    # Steps 3 to 5.
    with torch.no_grad():
        before_final = predict(prompt)[2]
    refined, info = policy.refine_prompt(prompt, pack.control_vector[0], summary[0])
    trajectory, size_logits, after_final = predict(refined)

    # Steps 7 and 8.
    before, after = before_final.argmax(dim=-1), after_final.argmax(dim=-1)
    with torch.no_grad():
        reward, breakdown = policy.compute_reward(
            before, after, out, inp, lambda grid: reconstruct(F.one_hot(grid, 10).float()).softmax(dim=-1)
        )
        info.outcome = torch.zeros(1, policy.config.rl_feat_dim)
    policy_numbers = policy.update(info, reward)
    height, width = after.shape
    probabilities = after_final.softmax(dim=-1)
    hard = F.one_hot(after, 10).float()
    found = reconstruct(hard + probabilities - probabilities.detach())[None]
    scores = score_batch(
        after_final[None], torch.ones(1, height, width), torch.tensor([[height, width]]), size_logits,
        batch.targets, batch.inputs, found,
    )  # fmt: skip
    gain = scores.accuracy + 0.5 * (scores.size + scores.color + scores.reversibility)

    # Step 9.
    forward_preds = resize_naively(trajectory, size)
    final = forward_preds[-1]
    wrong = (final.argmax(dim=-1) != out).float()[None]
    weights, ratio = hard_cell_weights(wrong, torch.ones_like(wrong), system.config.hard_cell_gain)
    plan, _ = plan_naively(agent.backward_planner, one_hot(out[None], torch.ones(1, *size)), refined)
    again = resize_naively(plan[-1:], (inp.shape[0], inp.shape[1]))
    losses = system.efe_loss(
        forward_preds[None],
        plan.flip(0)[None],
        forward_preds[None],
        torch.softmax(forward_preds, dim=-1)[None],
        final[None],
        out[None],
        episode_length=5,
        prompt_embedding=refined[None],
        grid_mask=torch.ones(1, *size),
        cell_weights=weights,
        reconstruction=again,
        inputs=batch.inputs,
        size_logits=size_logits,
        target_sizes=batch.targets.sizes,
    )
    combined = 0.7 * losses["total"] - 0.3 * gain.mean()

    # Step 10, and the numbers one by one.
    system.optimizer.zero_grad()
    combined.backward()
    norms = {
        component.name: nn.utils.clip_grad_norm_(component.parameters, 1.0).item()
        for component in system.components
    }
    system.optimizer.step()
    return {
        "accuracy": per_cell_accuracy(after, out),
        "mask_ratio": ratio.item(),
        "reward": reward,
        **breakdown,
        **{name: losses[name].item() for name in TERMS},
        **norms,
        "policy": float(policy_numbers["grad_norm"]),
    }

"""The seed's phase 2 and its steps 2 to 11, called as the seed writes them.

The language model is a small one under the seed's name in a temporary hub cache.
"""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hub_cache import COMMIT, QWEN, qwen_in_hub_cache  # noqa: F401
from torch import Tensor
from torch.amp import GradScaler
from torch.utils.data import DataLoader

from arc_core import (
    ARCDataset,
    ARCPromptGuidedAgentGPU,
    DynamicMemoryThreshold,
    EFELoss,
    GradientMonitor,
    ModelPersistence,
    PermanentSolver,
    PolicyRefinedAgent,
    PolicyRefinedConfig,
    QwenHybridPrompt,
    SizeWarmupCurriculum,
)
from arc_core.pipeline.batch import collate

device = "cuda" if torch.cuda.is_available() else "cpu"
agent_lr = 1e-4
qwen_lr = 1e-4


class Seed(NamedTuple):
    """What phase 2 makes."""

    qwen: QwenHybridPrompt
    agent: ARCPromptGuidedAgentGPU
    efe_loss: EFELoss
    policy_rl: PolicyRefinedAgent
    solver2: PermanentSolver
    size_warmup: SizeWarmupCurriculum
    memory_threshold: DynamicMemoryThreshold
    optimizer: torch.optim.Adam
    scaler: GradScaler


@pytest.fixture
def seed(qwen_in_hub_cache: Path) -> Seed:  # noqa: F811
    torch.manual_seed(42)
    # 2a
    qwen = QwenHybridPrompt(
        model_name="Qwen/Qwen2.5-1.5B",  # 1.5B parameter model
        prompt_dim=256,
        numeric_in_dim=15,
        fuse="mean",
    )
    qwen.to(device)
    # 2b
    agent = ARCPromptGuidedAgentGPU(
        max_grid_size=30,
        num_colors=10,
        hidden_dim=256,
        prompt_dim=256,
        max_steps=5,
    )
    agent.to(device)
    # 2c
    efe_loss = EFELoss(
        lambda_risk=1.0,
        lambda_amb=0.0,
        lambda_step=0.1,
        lambda_cons=1.0,
        lambda_bi=0.5,
        lambda_z=0.2,
        lambda_prompt=0.3,
        max_grid_size=30,
        num_colors=10,
        prompt_dim=256,
    )
    efe_loss.to(device)
    # 2d
    policy_cfg = PolicyRefinedConfig(
        rl_prompt_dim=256,
        rl_ctrl_dim=256,
        rl_feat_dim=32,
        rl_lr=5e-5,
        rl_entropy_coef=0.01,
        rl_icm_coef=0.1,
    )
    policy_rl = PolicyRefinedAgent(policy_cfg, device=device)
    # 2e
    solver2 = PermanentSolver().to(device)
    size_warmup = SizeWarmupCurriculum()
    memory_threshold = DynamicMemoryThreshold()
    # 2f
    trainable_params = [
        {"params": agent.parameters(), "lr": agent_lr},
        {"params": solver2.parameters(), "lr": agent_lr * 2},
        {"params": efe_loss.parameters(), "lr": agent_lr * 0.5},
        {"params": qwen.parameters(), "lr": qwen_lr},
    ]
    optimizer = torch.optim.Adam(trainable_params, weight_decay=1e-6)
    # 2g
    scaler = GradScaler(device=device)
    return Seed(
        qwen, agent, efe_loss, policy_rl, solver2, size_warmup, memory_threshold, optimizer, scaler
    )  # fmt: skip


@pytest.fixture
def task() -> tuple[list[tuple[Tensor, Tensor]], Tensor, Tensor]:
    """Demonstrations, the 7x7 input and the 12x12 output of the seed's example."""
    torch.manual_seed(7)

    def grid(side: int) -> Tensor:
        return torch.randint(0, 10, (side, side), device=device)

    return [(grid(7), grid(12)), (grid(5), grid(9))], grid(7), grid(12)


def prompt_of(seed: Seed, task: Any) -> Tensor:
    tr, inp, out = task
    with torch.no_grad():
        return seed.qwen(tr, inp, out, control_weight=0.5)["prompt_embedding"]


def efe_losses_of(seed: Seed, predictions_after: Tensor, refined_prompt: Tensor, out: Tensor):
    """Step 9, from the 7x7 plan on."""
    forward_preds = torch.nn.functional.interpolate(
        predictions_after.permute(0, 3, 1, 2),  # [5, 10, 7, 7]
        size=(12, 12),
        mode="bilinear",
        align_corners=False,
    ).permute(0, 2, 3, 1)  # [5, 12, 12, 10]
    backward_preds = torch.flip(forward_preds, dims=[0])
    state_preds = forward_preds
    obs_probs = torch.softmax(forward_preds, dim=-1)
    final_pred = forward_preds[-1]  # [12, 12, 10]
    grid_mask = torch.ones(12, 12, device=device)
    return seed.efe_loss(
        forward_preds,
        backward_preds,
        state_preds,
        obs_probs,
        final_pred,
        out.float(),
        episode_length=5,
        prompt_embedding=refined_prompt,
        grid_mask=grid_mask,
    )


def test_prompt_is_a_vector_that_the_querys_output_does_not_change(seed: Seed, task: Any):
    tr, inp, out = task
    assert (seed.qwen.language_model.name, seed.qwen.language_model.commit) == (QWEN, COMMIT)
    qwen_pack = seed.qwen(tr, inp, out, control_weight=0.5)
    assert {name: value.shape for name, value in qwen_pack.items()} == {
        "prompt_embedding": (256,),
        "control_vector": (256,),
        "text_embedding": (256,),
    }
    for other in ((out + 1) % 10, out[:3, :2], None):
        again = seed.qwen(tr, inp, other, control_weight=0.5)
        assert torch.equal(again["prompt_embedding"], qwen_pack["prompt_embedding"])
    changed = seed.qwen(tr[:1], inp, out, control_weight=0.5)["prompt_embedding"]
    assert not torch.equal(changed, qwen_pack["prompt_embedding"])
    mean = (qwen_pack["text_embedding"] + qwen_pack["control_vector"]) / 2
    torch.testing.assert_close(qwen_pack["prompt_embedding"], mean)  # fuse="mean"


def test_single_grids_have_the_seeds_shapes(seed: Seed, task: Any):
    _, inp, _ = task
    qwen_prompt = prompt_of(seed, task)
    assert (inp.shape, qwen_prompt.shape) == ((7, 7), (256,))
    with torch.no_grad():
        predictions_before, _ = seed.agent.forward(inp.float(), qwen_prompt)
    assert predictions_before.shape == (5, 7, 7, 10)
    assert predictions_before[-1].argmax(dim=-1).shape == (7, 7)
    wide, _ = seed.agent(torch.zeros(3, 30, device=device), qwen_prompt)
    assert wide.shape == (5, 3, 30, 10)


def test_policy_refines_measures_and_learns_as_in_steps_4_7_and_8(seed: Seed, task: Any):
    _, inp, out = task
    policy_rl, agent = seed.policy_rl, seed.agent
    qwen_prompt = prompt_of(seed, task)
    ctrl_vec = torch.randn(256, device=device)
    feat_sum = torch.randn(32, device=device)
    refined_prompt, rl_info = policy_rl.refine_prompt(qwen_prompt, ctrl_vec, feat_sum)
    assert refined_prompt.shape == (256,)
    assert 0 < (refined_prompt - qwen_prompt).abs().max() <= policy_rl.config.rl_delta_scale

    pred_before, pred_after = (
        torch.nn.functional.interpolate(
            agent.forward(inp.float(), prompt)[0][-1].argmax(dim=-1).float().unsqueeze(0).unsqueeze(0),
            size=(12, 12),
            mode="nearest",
        ).squeeze(0).squeeze(0).long()
        for prompt in (qwen_prompt, refined_prompt)
    )  # fmt: skip
    reward, breakdown = policy_rl.compute_reward(pred_before, pred_after, out, inp)
    assert set(breakdown) == {"d_acc", "d_size", "d_color", "d_rev"}
    assert breakdown["d_acc"] == pytest.approx(
        ((pred_after == out).float().mean() - (pred_before == out).float().mean()).item(), abs=1e-6
    )
    assert (breakdown["d_size"], breakdown["d_rev"]) == (0.0, 0.0)  # resized; no backward model is given
    assert reward == pytest.approx(breakdown["d_acc"] + 0.5 * breakdown["d_color"])

    before = [value.detach().clone() for value in policy_rl.actor.parameters()]
    rl_losses = policy_rl.update(rl_info, reward)
    rl_reward = rl_losses.get("reward", 0.0)
    assert float(rl_reward) == pytest.approx(reward, abs=1e-6)
    assert not any(torch.equal(a, b) for a, b in zip(before, policy_rl.actor.parameters(), strict=True))


def test_efe_loss_takes_the_seeds_call(seed: Seed, task: Any):
    _, inp, out = task
    refined_prompt = prompt_of(seed, task)
    predictions_after, _ = seed.agent.forward(inp.float(), refined_prompt)
    efe_losses = efe_losses_of(seed, predictions_after, refined_prompt, out)
    efe_loss_val = efe_losses.get("total", sum(efe_losses.values()))
    parts = [value for name, value in efe_losses.items() if name != "total"]
    assert efe_loss_val.item() == pytest.approx(sum(parts).item(), rel=1e-6)
    assert all(part.shape == () for part in parts)
    assert efe_losses["step"].item() == pytest.approx(0.1 * 5)
    assert (efe_losses["ambiguity"], efe_losses["size"]) == (0, 0)
    final_pred = torch.nn.functional.interpolate(
        predictions_after[-1:].permute(0, 3, 1, 2), size=(12, 12), mode="bilinear", align_corners=False
    )
    expected = torch.nn.functional.cross_entropy(final_pred, out[None])
    torch.testing.assert_close(efe_losses["consistency"], expected)


def test_backward_pass_and_checkpoint_are_the_seeds_steps_10_and_11(
    seed: Seed, task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    qwen, agent, efe_loss, policy_rl, solver2, _, _, optimizer, scaler = seed
    tr, inp, out = task
    grad_monitor = GradientMonitor()
    monkeypatch.chdir(tmp_path)
    persistence = ModelPersistence()
    qwen_prompt = qwen(tr, inp, out, control_weight=0.5)["prompt_embedding"]
    predictions_after, _ = agent.forward(inp.float(), qwen_prompt)
    combined_loss = 0.7 * efe_losses_of(seed, predictions_after, qwen_prompt, out)["total"] + 0.3 * (-0.115)

    optimizer.zero_grad()
    scaler.scale(combined_loss).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_(agent.parameters(), max_norm=1.0)
    scaler.step(optimizer)
    scaler.update()
    qwen_grad_norm = grad_monitor.check_gradients(qwen, "Qwen")
    norms = [p.grad.norm() for p in qwen.parameters() if p.grad is not None]
    assert qwen_grad_norm == pytest.approx(torch.stack(norms).norm().item(), rel=1e-5)
    assert qwen_grad_norm > 0
    assert grad_monitor.history == {"Qwen": qwen_grad_norm}

    batch_idx = 49
    metrics = {"epoch": 0, "batch": batch_idx, "loss": 2.385, "reward": 0.115, "accuracy_delta": 0.05}
    path = persistence.save_checkpoint(
        agent, qwen, solver2, efe_loss, policy_rl, optimizer, 0, batch_idx, metrics
    )  # fmt: skip
    assert (tmp_path / "checkpoints" / "checkpoint_00000" / "MANIFEST.json").is_file()

    saved = {name: value.clone() for name, value in agent.state_dict().items()}
    last = agent.forward_planner.colors.weight
    moments = optimizer.state[last]["exp_avg"].clone()
    assert moments.norm() > 0
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter.zero_()
    state = persistence.load_checkpoint(path, agent, qwen, solver2, efe_loss, policy_rl, optimizer)
    assert (state["epoch"], state["batch"], state["metrics"]) == (0, batch_idx, metrics)
    assert all(torch.equal(value, saved[name]) for name, value in agent.state_dict().items())
    assert torch.equal(optimizer.state[last]["exp_avg"], moments)


def test_curricula_take_the_seeds_calls(seed: Seed):
    assert [round(seed.size_warmup.get_size_loss_weight(epoch), 3) for epoch in range(4)] == [
        1.0, 0.833, 0.667, 0.5,
    ]  # fmt: skip
    assert seed.memory_threshold.get_threshold() == pytest.approx(0.22)
    assert seed.memory_threshold.update(0.5) == seed.memory_threshold.get_threshold()


def test_dataset_reads_a_file_of_tasks_as_the_seed_names_it(tmp_path: Path):
    pair = '{"input": [[1, 2]], "output": [[2], [1]]}'
    path = tmp_path / "training.json"
    path.write_text(f'{{"00000001": {{"train": [{pair}, {pair}], "test": [{pair}]}}}}', encoding="utf-8")
    dataset = ARCDataset(path)
    assert len(dataset) == 2
    assert [example.input.tolist() for example in dataset] == [[[1, 2]], [[1, 2]]]
    train_loader = DataLoader(dataset, batch_size=1, collate_fn=collate)
    for batch in train_loader:
        assert batch.targets is not None
        assert (batch.inputs.cells.tolist(), batch.targets.cells.tolist()) == ([[[1, 2]]], [[[2], [1]]])

"""Groups and their rates, the schedule, clipping, mixed precision, and what is reported of gradients."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from arc_core.base.errors import ConfigError
from arc_core.pipeline.system import ArcSystem
from arc_core.training.optimizer import (
    Component,
    GradientMonitor,
    MixedPrecision,
    Schedule,
    backward_and_step,
    make_optimizer,
    set_rates,
)

CPU = torch.device("cpu")
MakeSystem = Callable[..., ArcSystem]


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values))


def one_group(
    weight: nn.Parameter, kind: str = "adamw", rate: float = 0.1, decay: float = 0.0
) -> torch.optim.Optimizer:
    return make_optimizer([(Component.of("agent", [weight]), rate)], kind, decay)


def learning_rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    return {group["name"]: float(group["lr"]) for group in optimizer.param_groups}


# Groups


def test_every_component_learns_at_its_own_multiple_of_the_agents_rate(make_system: MakeSystem) -> None:
    system = make_system(agent_lr=1e-3, qwen_lr=3e-5, policy_lr=7e-5)
    rates = learning_rates(system.optimizer)
    assert rates == {"agent": 1e-3, "memory": 2e-3, "efe_loss": 5e-4, "lm": 3e-5, "prompt": 3e-5}
    assert system.policy.optimizer.param_groups[0]["lr"] == 7e-5


@pytest.mark.parametrize(
    ("name", "moved"),
    [
        ("agent_lr", {"agent": 4e-3, "memory": 8e-3, "efe_loss": 2e-3}),
        ("qwen_lr", {"lm": 4e-3, "prompt": 4e-3}),
        ("policy_lr", {}),
    ],
)
def test_setting_a_rate_moves_what_is_defined_by_it_and_nothing_else(
    make_system: MakeSystem, name: str, moved: dict[str, float]
) -> None:
    system = make_system(agent_lr=1e-3, qwen_lr=3e-5, policy_lr=7e-5)
    before, named = learning_rates(system.optimizer), system.base_rates()
    assert named == {"agent_lr": 1e-3, "qwen_lr": 3e-5, "policy_lr": 7e-5}
    system.set_base_rate(name, 4e-3)
    set_rates([system.optimizer], system.schedule.factor(1))
    assert learning_rates(system.optimizer) == {**before, **moved}
    assert system.base_rates() == {**named, name: 4e-3}


def test_every_trained_parameter_is_in_exactly_one_group(make_system: MakeSystem) -> None:
    system = make_system()
    grouped = [p for group in system.optimizer.param_groups for p in group["params"]]
    names = ("agent", "memory", "efe_loss", "prompt")
    ours = {id(p) for name in names for p in system.modules[name].parameters()}
    assert len(grouped) == len({id(p) for p in grouped})
    assert {id(p) for p in grouped} == ours
    policy = [p for group in system.policy.optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in policy} == {id(p) for p in system.policy.parameters()}


@pytest.mark.parametrize(("kind", "of"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)])
def test_the_optimizer_is_of_the_asked_kind_with_the_asked_decay(
    make_system: MakeSystem, kind: str, of: type
) -> None:
    optimizer = make_system(optimizer=kind, weight_decay=1e-6).optimizer
    assert type(optimizer) is of
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-6] * 5


def test_another_kind_is_refused_with_the_right_ones() -> None:
    with pytest.raises(ConfigError, match="'sgd' is not one of adamw, adam"):
        one_group(parameter(1.0), kind="sgd")


def test_a_frozen_model_keeps_an_empty_group_in_its_place(make_system: MakeSystem) -> None:
    frozen, full = make_system(lm_train="frozen"), make_system()
    assert [g["name"] for g in frozen.optimizer.param_groups] == [
        g["name"] for g in full.optimizer.param_groups
    ]
    sizes = {g["name"]: len(g["params"]) for g in frozen.optimizer.param_groups}
    assert sizes["lm"] == 0
    assert sizes["prompt"] > 0


def test_coupled_decay_wears_a_weight_without_gradient_away_and_adamws_hardly_does() -> None:
    left = {}
    for kind in ("adam", "adamw"):
        weight = parameter(1.0, -1.0)
        optimizer = one_group(weight, kind, rate=1e-2, decay=1e-6)
        for _ in range(50):
            weight.grad = torch.zeros_like(weight)  # as of a memory that found nothing
            optimizer.step()
        left[kind] = weight.detach().abs()
    # Adam divides the decay by its own size, so it takes full steps of the learning rate.
    assert (left["adam"] < 0.55).all()
    torch.testing.assert_close(left["adamw"], torch.full((2,), (1 - 1e-8) ** 50))


# Schedule


def test_warm_up_rises_linearly_and_then_stays() -> None:
    schedule = Schedule("constant", warmup_steps=4, total_steps=10)
    assert [schedule.factor(step) for step in range(1, 7)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_constant_is_one_from_the_first_step() -> None:
    assert {Schedule().factor(step) for step in (1, 2, 10**6)} == {1.0}


def test_cosine_falls_from_one_to_zero_at_the_last_step() -> None:
    schedule = Schedule("cosine", warmup_steps=2, total_steps=10)
    assert schedule.factor(2) == 1.0
    assert schedule.factor(6) == pytest.approx(0.5)
    assert schedule.factor(4) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert schedule.factor(10) == pytest.approx(0.0)
    assert schedule.factor(11) == pytest.approx(0.0)  # a run that was made longer


@settings(max_examples=50, deadline=None)
@given(
    kind=st.sampled_from(["constant", "cosine"]),
    warmup=st.integers(0, 30),
    total=st.integers(1, 30),
    step=st.integers(1, 60),
)
def test_a_factor_is_between_zero_and_one(kind: str, warmup: int, total: int, step: int) -> None:
    schedule = Schedule(kind, warmup, total)
    assert 0.0 <= schedule.factor(step) <= 1.0
    if warmup <= step:  # it never rises after the warm-up
        assert schedule.factor(step + 1) <= schedule.factor(step)


def test_the_schedule_scales_every_groups_own_rate() -> None:
    groups = [(Component.of("a", [parameter(1.0)]), 0.2), (Component.of("b", [parameter(1.0)]), 0.4)]
    optimizer = make_optimizer(groups, "adamw", 0.0)
    for step, factor in ((1, 0.5), (2, 1.0), (1, 0.5)):
        set_rates([optimizer], Schedule(warmup_steps=2).factor(step))
        assert learning_rates(optimizer) == {"a": 0.2 * factor, "b": 0.4 * factor}


# Step 10


def step_of(loss_of: Callable[[Tensor, Tensor], Tensor], clip: float = 1.0, precision: str = "off") -> tuple:
    """One step over two components of one weight each; their start is 1 and 2."""
    weights = parameter(1.0), parameter(2.0)
    components = [Component.of(name, [w]) for name, w in zip("ab", weights, strict=True)]
    optimizer = make_optimizer([(component, 0.1) for component in components], "adamw", 0.0)
    mixed = MixedPrecision(CPU, precision)
    norms, applied = backward_and_step(loss_of(*weights), [optimizer], components, mixed, clip)
    return weights, {name: norm.item() for name, norm in norms.items()}, applied, mixed


def test_every_component_is_clipped_by_itself_and_its_norm_told_before() -> None:
    weights, norms, applied, _ = step_of(lambda a, b: (3.0 * a + 0.5 * b).sum())
    assert applied
    assert norms == pytest.approx({"a": 3.0, "b": 0.5})
    assert [w.grad.item() for w in weights] == pytest.approx([1.0, 0.5], rel=1e-5)
    assert weights[0] < 1.0
    assert weights[1] < 2.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_moves_nothing_and_is_counted(bad: float) -> None:
    weights, norms, applied, mixed = step_of(lambda a, b: (a + bad * b).sum())
    assert not applied
    mixed.settle(bool(applied), 1.0)
    assert mixed.told()["skipped_steps"] == 1
    assert [w.item() for w in weights] == [1.0, 2.0]
    assert norms["a"] == 1.0
    assert not math.isfinite(norms["b"])


def test_norms_under_a_scaler_are_unscaled() -> None:
    _, norms, applied, mixed = step_of(lambda a, b: (3.0 * a + 0.5 * b).sum(), precision="float16")
    assert applied
    assert mixed.scaler.get_scale() == 65536.0
    assert norms == pytest.approx({"a": 3.0, "b": 0.5})


def test_a_component_without_parameters_has_norm_zero() -> None:
    weight = parameter(1.0)
    frozen = nn.Parameter(torch.ones(1), requires_grad=False)
    components = [Component.of("agent", [weight]), Component.of("lm", [frozen])]
    optimizer = make_optimizer([(component, 0.1) for component in components], "adamw", 0.0)
    norms, applied = backward_and_step(weight.sum(), [optimizer], components, MixedPrecision(CPU, "off"), 1.0)
    assert applied
    assert norms["lm"] == 0.0
    assert frozen == 1.0


# Gradient monitor


def test_the_monitor_reports_the_norm_of_the_modules_gradient() -> None:
    module, monitor = nn.Linear(3, 2), GradientMonitor()
    module(torch.randn(4, 3)).square().sum().backward()
    expected = math.sqrt(sum(p.grad.double().square().sum().item() for p in module.parameters()))
    assert monitor.check_gradients(module, "qwen") == pytest.approx(expected, rel=1e-5)
    assert monitor.history == {"qwen": pytest.approx(expected, rel=1e-5)}


def test_the_monitor_reports_zero_where_there_is_no_gradient() -> None:
    module, monitor = nn.Linear(3, 2), GradientMonitor()
    assert monitor.check_gradients(module, "qwen") == 0.0
    module.weight.grad = torch.zeros_like(module.weight)
    assert monitor.check_gradients(module, "qwen") == 0.0


# Mixed precision


@pytest.mark.parametrize(
    ("precision", "dtype", "scaled"),
    [("off", "float32", False), ("bfloat16", "bfloat16", False), ("float16", "float16", True)],
)
def test_only_float16_has_a_scaler(precision: str, dtype: str, scaled: bool) -> None:
    mixed = MixedPrecision(CPU, precision)
    assert mixed.dtype_name == dtype
    assert mixed.scaler.is_enabled() == scaled
    with mixed.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert str(product.dtype) == f"torch.{dtype}"


@pytest.mark.parametrize(
    ("found", "dtype"),
    [
        ({}, "float32"),
        ({"avx512_bf16": False, "avx2": True}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"bf16": True}, "bfloat16"),
    ],
)
def test_auto_takes_bfloat16_where_the_processor_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, bool], dtype: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert MixedPrecision(CPU).dtype_name == dtype


@pytest.mark.parametrize(("supported", "dtype"), [(True, "bfloat16"), (False, "float16")])
def test_auto_on_a_gpu_takes_bfloat16_or_float16_with_a_scaler(
    monkeypatch: pytest.MonkeyPatch, supported: bool, dtype: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    assert MixedPrecision(torch.device("cuda")).dtype_name == dtype


def test_weights_stay_float32_under_autocast(make_system: MakeSystem) -> None:
    system = make_system(amp="bfloat16")
    for module in system.modules.values():
        assert {p.dtype for p in module.parameters()} == {torch.float32}

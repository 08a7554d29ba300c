"""What the engine's tests share: one thread, a fixed seed, and small grids, examples and systems."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from arc_core.data.dataset import Example
from arc_core.data.tasks import Pair
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.language_model import LanguageModel
from arc_core.pipeline.system import ArcSystem

DrawGrids = Callable[..., list[np.ndarray]]
MakeExamples = Callable[..., list[Example]]
MakeSystem = Callable[..., ArcSystem]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def draw_grids() -> DrawGrids:
    """Random grids of random sizes: `draw_grids(count, seed=0, low=1, high=8)`."""

    def draw(count: int, seed: int = 0, low: int = 1, high: int = 8) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        shapes = rng.integers(low, high + 1, (count, 2))
        return [rng.integers(0, 10, shape, dtype=np.int8) for shape in shapes]

    return draw


@pytest.fixture(scope="session")
def make_examples(draw_grids: DrawGrids) -> MakeExamples:
    """Random examples, each of a task of its own: `make_examples(count, seed=0, context=2, high=8)`."""

    def make(count: int, seed: int = 0, context: int = 2, high: int = 8) -> list[Example]:
        grids = iter(draw_grids(count * (2 * context + 2), seed, high=high))
        return [
            Example(
                task_id=f"task{index}",
                pair_index=index % 3,
                part="train",
                context=tuple(Pair(next(grids), next(grids)) for _ in range(context)),
                input=next(grids),
                target=next(grids),
            )
            for index in range(count)
        ]

    return make


@pytest.fixture(scope="session")
def small_config() -> Callable[..., PipelineConfig]:
    """A configuration whose models are small and compute in float32; settings may be given."""

    def config(**settings: object) -> PipelineConfig:
        small = {"hidden_dim": 32, "prompt_dim": 32, "memory_capacity": 16, "device": "cpu", "amp": "off"}
        return PipelineConfig.from_mapping(small | settings)

    return config


@pytest.fixture(scope="session")
def make_system(small_config: Callable[..., PipelineConfig]) -> MakeSystem:
    """A system of `small_config`, always with the same weights."""

    def make(language_model: LanguageModel | None = None, **settings: object) -> ArcSystem:
        torch.manual_seed(0)
        return ArcSystem(small_config(**settings), torch.device("cpu"), 10, language_model)

    return make

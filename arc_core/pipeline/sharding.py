"""A language model that the processes of a run hold together, by torch's `fully_shard`."""

from __future__ import annotations

import torch

from arc_core.base.errors import ConfigError
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.language_model import LanguageModel
from arc_core.training.optimizer import MixedPrecision
from arc_core.training.ranks import Ranks


def shard(language_model: LanguageModel, ranks: Ranks, device: torch.device) -> None:
    """Leave a part of each weight to each process, on its device; a layer is whole while it computes."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (ranks.count,))
    backbone = language_model.backbone
    layers = set(getattr(backbone, "_no_split_modules", None) or ())
    for module in list(backbone.modules()):
        if type(module).__name__ in layers:
            fully_shard(module, mesh=mesh)
    fully_shard(backbone, mesh=mesh)


def refuse_what_shards_cannot(config: PipelineConfig, precision: MixedPrecision) -> None:
    """Refuse settings under which the processes would not go through the model alike.

    Raises:
        ConfigError: If a batch has several parts, as one process may have fewer; or if a scale is looked for.
    """
    if config.accumulate > 1:
        raise ConfigError(f"accumulate is {config.accumulate}, but must be 1 with lm_sharding full.")
    if config.compile:
        raise ConfigError("compile is true, but must be false with lm_sharding full.")
    if precision.scaler.is_enabled():
        raise ConfigError("amp is float16, but must be bfloat16 or off with lm_sharding full.")

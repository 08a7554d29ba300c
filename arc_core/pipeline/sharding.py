"""A language model that the processes of a run hold together, by torch's `fully_shard`."""

from __future__ import annotations

import torch

from arc_core.pipeline.language_model import LanguageModel
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

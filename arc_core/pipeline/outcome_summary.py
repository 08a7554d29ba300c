"""What came of a refinement with the planner `seed`, as curiosity is shown it.

Shape legend: B pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arc_core.pipeline.batch import Batch
from arc_core.pipeline.loss import cell_mean
from arc_core.pipeline.system import Flow


def outcome_summary(flow: Flow, batch: Batch) -> Tensor:
    """What came of the refinement, for curiosity: [B, 32] numbers about 0 to 1.

    Predicted colours after (10) and before (10), their largest difference (1), confidence after and
    before (2), entropy after and before (2), share of cells that changed (1), share that copy the
    input (1), sizes after and before over 30 (4), whether the size changed (1).
    """
    mask = batch.inputs.mask
    after, before = (p.logits[:, -1].softmax(dim=-1) for p in (flow.after, flow.before))
    cells = mask.sum(dim=(1, 2))[:, None]
    shares = [(p * mask[..., None]).sum(dim=(1, 2)) / cells for p in (after, before)]
    confidence = [cell_mean(p.amax(dim=-1), mask) for p in (after, before)]
    entropy = [cell_mean(-torch.xlogy(p, p).sum(dim=-1), mask) for p in (after, before)]
    chosen = [p.argmax(dim=-1) for p in (after, before)]
    sizes = [p.output.sizes for p in (flow.after, flow.before)]
    columns = [
        (shares[0] - shares[1]).abs().amax(dim=1),
        *confidence,
        *entropy,
        cell_mean((chosen[0] != chosen[1]).float(), mask),
        cell_mean((chosen[0] == batch.inputs.cells).float(), mask),
        (sizes[0] != sizes[1]).any(dim=1).float(),
    ]
    return torch.cat([*shares, torch.stack(columns, dim=1), *(size / 30.0 for size in sizes)], dim=1)

"""Muon for all matrices of a shape at once, beside torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from arc_core.pipeline.muon import BatchedMuon

SHAPES = ((12, 30), (12, 30), (30, 12), (8, 8))


def matrices() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(0.1 * torch.randn(*shape, generator=generator)) for shape in SHAPES]


def give_gradients(parameters: list[nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("nesterov", [True, False])
def test_it_moves_matrices_as_torchs_own_does(nesterov: bool) -> None:
    ours, theirs = matrices(), matrices()
    options = {"lr": 0.02, "weight_decay": 0.1, "nesterov": nesterov}
    batched, single = BatchedMuon(ours, **options), torch.optim.Muon(theirs, **options)
    for seed in range(4):
        for parameters, optimizer in ((ours, batched), (theirs, single)):
            give_gradients(parameters, seed)
            optimizer.step()
    for one, other in zip(ours, theirs, strict=True):
        # Orthogonal matrices come of bfloat16, whose last place is 0.004 of a number.
        torch.testing.assert_close(one, other, atol=0.02 * 0.004 * 4, rtol=0)
        momentum = batched.state[one]["momentum_buffer"]
        torch.testing.assert_close(momentum, single.state[other]["momentum_buffer"])


def test_a_step_that_is_not_to_be_taken_moves_neither_weights_nor_momenta() -> None:
    parameters = matrices()
    optimizer = BatchedMuon(parameters, lr=0.02)
    give_gradients(parameters, 0)
    optimizer.step()
    before = [parameter.detach().clone() for parameter in parameters]
    momenta = [optimizer.state[parameter]["momentum_buffer"].clone() for parameter in parameters]
    give_gradients(parameters, 1)
    assert parameters[0].grad is not None
    parameters[0].grad[0, 0] = torch.nan
    optimizer.found_inf = torch.ones(())
    optimizer.step()
    for parameter, weight, momentum in zip(parameters, before, momenta, strict=True):
        assert torch.equal(parameter, weight)
        assert torch.equal(optimizer.state[parameter]["momentum_buffer"], momentum)
    optimizer.found_inf = torch.zeros(())
    give_gradients(parameters, 1)
    optimizer.step()
    assert not any(torch.equal(*both) for both in zip(parameters, before, strict=True))

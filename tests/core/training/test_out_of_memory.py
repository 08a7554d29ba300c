"""Want of memory is known by its error, and told with what helps."""

import pytest
import torch

from arc_core.pipeline.recipe import PipelineRecipe
from arc_core.training.diagnostics import is_out_of_memory, out_of_memory


def test_out_of_memory_is_known_by_its_error() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_torchs_own_failure_to_allocate_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


def test_out_of_memory_advises_the_seeds_remedies() -> None:
    finding = out_of_memory(41, 64, {"lm": "Qwen/Qwen2.5-1.5B"}, PipelineRecipe.MEMORY_ADVICE)
    assert finding.advice.endswith(".")
    assert len(finding.advice) > 20
    assert finding.message == "Out of memory in step 41 with batch_size 64 and lm Qwen/Qwen2.5-1.5B."
    for remedy in ("--batch-size", "--max-batches 100", "--lm tiny"):
        assert remedy in finding.advice

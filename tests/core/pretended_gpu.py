"""A GPU that is not there: tensors that say they are on cuda:0, and compute on the CPU.

    with pretended_gpu() as gpu:
        system = ArcSystem(config, torch.device("cuda"))
        ...
    gpu.operations, gpu.transfers, gpu.uploads

In the block torch says that it has one GPU. What is made on it or moved to it is a `DeviceTensor`: it holds a
tensor of the CPU that only operations on the device see. As on a GPU, an operation refuses tensors of both
places, random numbers come from a generator of the device's own, and what the host learns of a tensor it
learns by a transfer. Each transfer is kept with the line that asked for it.

Not proved by it: what kernels compute and which types they take; memory; streams and what order they give. A
copy that nobody waits for is done at once, so reading it too early is not found. Autocast goes by the CPU's
lists, and what torch does by several operations is counted as it does them on the CPU. In another thread than
that of the block, tensors can be computed with and read, but none made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from unittest.mock import patch

import torch
from device_tensor import CPU, GPU, METHODS, DeviceTensor, Gpu, each, pin, present, to
from torch import Tensor
from torch.optim.optimizer import _foreach_supported_types
from torch.overrides import TorchFunctionMode
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode

MEMORY = 80_000_000_000


def backward(gpu: Gpu, tensor: Tensor, gradient: Tensor | None = None, *args: Any, **kwargs: Any) -> None:
    """`Tensor.backward`; what is computed again in its middle goes by here too."""
    with OnDevice(gpu), OfAutograd() if isinstance(tensor, DeviceTensor) else contextlib.nullcontext():
        torch.autograd.backward(tensor, gradient, *args, **kwargs)


class OnDevice(TorchFunctionMode):
    """Takes the calls of torch that name the device, and those of `METHODS`."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Do a call."""
        del types
        given, gpu = dict(kwargs or {}), self.gpu
        if func is Tensor.backward:
            return backward(gpu, *args, **given)
        if func in METHODS:
            return METHODS[func](gpu, *args, **given)
        if func in (torch.tensor, torch.as_tensor):
            return self._made_of(func, *args, **given)
        pinned, device = given.pop("pin_memory", False), given.get("device")
        if device is None or torch.device(device).type == "meta":
            result = func(*args, **given)
            return pin(gpu, result) if pinned else result
        # Made there: of a tensor that it is to be like, form and type alone count.
        given["device"], on_device = CPU, torch.device(device).type == "cuda"
        like = each(args, lambda one: one.held if isinstance(one, DeviceTensor) else one)
        with gpu.drawing() if on_device else contextlib.nullcontext():
            result = func(*like, **given)
        if not on_device:
            return pin(gpu, result) if pinned else result
        gpu.operations += 1
        if isinstance(result, DeviceTensor):  # by `OfAutograd`
            return result
        return DeviceTensor(result.detach()).requires_grad_(result.requires_grad)

    def _made_of(self, func: Any, data: Any, **given: Any) -> Tensor:
        """`torch.tensor` and `torch.as_tensor`, of numbers or of tensors of either place."""
        device = given.pop("device", None)
        if not isinstance(data, DeviceTensor):
            made = func(data, **given)
            return made if device is None else to(self.gpu, made, device)
        copy = func is torch.tensor
        return to(self.gpu, data, device or GPU, given.get("dtype") or data.dtype, copy=copy)


class OfAutograd(TorchDispatchMode):
    """Puts on the device what autograd's formulas make there, as zeros where a gradient is missing."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Do an operation."""
        del types
        result, given = func(*args, **(kwargs or {})), list[Tensor]()
        each(args, lambda one: given.append(one) or one)
        return result if given or not isinstance(result, Tensor) else DeviceTensor(result)


@contextlib.contextmanager
def pretended_gpu() -> Iterator[Gpu]:
    """Let torch have one GPU."""
    gpu = Gpu()
    autocast, grouped = torch.autocast.__init__, torch._C._group_tensors_by_device_and_dtype

    def begin(
        self: torch.autocast, device_type: str, dtype: Any = None, enabled: bool = True, **more: Any
    ) -> None:
        # To autocast the tensors are the CPU's; its own is off meanwhile, as it does nothing to a GPU's.
        on_device = device_type == "cuda"
        autocast(self, "cpu", dtype or (torch.float16 if on_device else None), enabled and on_device, **more)

    def by_place(tensors: Any, with_indices: bool = False) -> Any:
        return {
            (GPU if isinstance(lists[0][0], DeviceTensor) else device, dtype): (lists, indices)
            for (device, dtype), (lists, indices) in grouped(tensors, with_indices).items()
        }

    def set_random(states: Any) -> None:
        gpu.random = states[0].clone()

    answers: dict[str, Any] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "_is_in_bad_fork": lambda: False,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda *_: None,
        "is_bf16_supported": lambda *_: True,
        "mem_get_info": lambda *_: (MEMORY, MEMORY),
        "synchronize": lambda *_: gpu.brought("synchronize"),
        "get_rng_state": lambda *_: gpu.random.clone(),
        "get_rng_state_all": lambda: [gpu.random.clone()],
        "set_rng_state": lambda state, *_: set_random([state]),
        "set_rng_state_all": set_random,
        "manual_seed_all": lambda seed: set_random([torch.Generator().manual_seed(seed).get_state()]),
    }
    with contextlib.ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(patch.object(torch.cuda, name, answer))
        stack.enter_context(patch.object(torch.autocast, "__init__", begin))
        stack.enter_context(patch.object(torch._C, "_group_tensors_by_device_and_dtype", by_place))
        for known in (_foreach_supported_types, _foreach_utils._foreach_supported_types):
            known.append(DeviceTensor)
            stack.callback(known.remove, DeviceTensor)
        # A module's parameters stay the same objects when it moves, as those of a real one's do.
        torch.__future__.set_swap_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_swap_module_params_on_conversion, False)
        present.append(gpu)
        stack.callback(present.pop)
        stack.enter_context(OnDevice(gpu))
        yield gpu

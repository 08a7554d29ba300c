"""Tensors that say they are on cuda:0, and what may be done with them; see pretended_gpu.py."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)

aten = torch.ops.aten
PRETENDED = str(Path(__file__).with_name("pretended_gpu.py"))
NOT_A_CALLER = (torch.__path__[0], __file__, PRETENDED, contextlib.__file__, "<")


@dataclass(frozen=True)
class Transfer:
    """Numbers that went between host and device."""

    to_host: bool
    call: str
    """What of torch brought them over."""
    site: str
    """File, line and function that asked for it, the nearest outside torch."""
    waits: bool
    """Whether the host waits until the device has done all it was given before."""

    def __str__(self) -> str:
        """In a line."""
        where = "to the host" if self.to_host else "to the device"
        return f"{where} {self.site}: {self.call}{'' if self.waits else ', not waited for'}"


@dataclass
class Gpu:
    """What was done on the device.

    Attributes:
        operations: So many that are no views.
        moves: What went over in either direction, in order.
        pinned: What is in pinned memory, by its address.
        random: State of its generator.
    """

    operations: int = 0
    moves: list[Transfer] = field(default_factory=list)
    pinned: dict[int, Tensor] = field(default_factory=dict)
    random: Tensor = field(default_factory=torch.get_rng_state)

    def reset(self) -> None:
        """Count from here on."""
        self.operations = 0
        self.moves.clear()

    @property
    def transfers(self) -> list[Transfer]:
        """To the host; an operation whose result's shape the host must learn is one."""
        return [one for one in self.moves if one.to_host]

    @property
    def uploads(self) -> list[Transfer]:
        """To the device."""
        return [one for one in self.moves if not one.to_host]

    @property
    def waits(self) -> list[Transfer]:
        """What the host waits for."""
        return [one for one in self.moves if one.waits]

    def brought(self, call: object, *, waits: bool = True) -> None:
        """Count a transfer to the host."""
        self.moves.append(Transfer(True, str(call), call_site(), waits))

    def took(self, call: object, *, waits: bool = True) -> None:
        """Count one to the device."""
        self.moves.append(Transfer(False, str(call), call_site(), waits))

    @contextlib.contextmanager
    def drawing(self) -> Iterator[None]:
        """Draw random numbers from the device's generator."""
        host = torch.get_rng_state()
        torch.set_rng_state(self.random)
        try:
            yield
        finally:
            self.random = torch.get_rng_state()
            torch.set_rng_state(host)


def call_site() -> str:
    """The nearest caller that is neither of the test device nor of torch."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(NOT_A_CALLER):
        frame = frame.f_back
    code = frame.f_code
    return f"{'/'.join(Path(code.co_filename).parts[-2:])}:{frame.f_lineno} {code.co_name}"


present: list[Gpu] = []
"""The device of the block that is being run."""


class DeviceTensor(Tensor):
    """A tensor that says it is on cuda:0."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> DeviceTensor:
        """Put a tensor of the CPU's on the device."""
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=CPU,  # for torch's own engine, which has no queue for a GPU where it is built without
        )
        made.held = held
        return made

    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    @property
    def data(self) -> Tensor:
        """As of any tensor; what is assigned is held."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, DeviceTensor):
            raise RuntimeError("a tensor on cuda:0 cannot be given the data of one on cpu")
        self.held = value.held
        Tensor.data.__set__(self, value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """Copy it, a parameter to a parameter."""
        copied = DeviceTensor(self.held.detach().clone()).requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            copied._is_param = True
        return memo.setdefault(id(self), copied)

    def __repr__(self, **_: Any) -> str:
        """Shape and type; its numbers are on the device."""
        return f"DeviceTensor({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Do a call; first of all in another thread than that of the block, which has no `OnDevice`."""
        del types
        with torch._C.DisableTorchFunctionSubclass():
            if func in METHODS:
                return METHODS[func](present[-1], *args, **(kwargs or {}))
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Do an operation on what its tensors hold."""
        del types
        # A view that is made in inference mode counts the versions of what it is a view of.
        with torch.inference_mode(False):
            with torch._C._AutoDispatchBelowAutograd():
                result = func.decompose(*args, **(kwargs or {}))  # which inference mode leaves to us
            return (
                operate(present[-1], func, args, dict(kwargs or {})) if result is NotImplemented else result
            )


def operate(gpu: Gpu, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Do an operation of which some tensor is on the device, and count it."""
    if func is aten.copy_.default:
        return copied(gpu, *args, **kwargs)
    given: list[Tensor] = []

    def held(one: Tensor) -> Tensor:
        given.append(one)
        return one.held if isinstance(one, DeviceTensor) else one

    held_args, held_kwargs = each(args, held), {name: each(value, held) for name, value in kwargs.items()}
    refuse_other_places(gpu, func, args, given)
    if waits_for_result(func, args, kwargs):
        gpu.brought(func)
    gpu.operations += not func.is_view
    draws = torch.Tag.nondeterministic_seeded in func.tags
    with gpu.drawing() if draws else contextlib.nullcontext():
        result = func(*held_args, **held_kwargs)
    if torch.Tag.inplace_view in func.tags:
        reshape(func, args, kwargs)
    # What was changed in place comes back as the tensor that was given.
    known = {id(one.held): one for one in given if isinstance(one, DeviceTensor)}
    return each(result, lambda one: known[id(one)] if id(one) in known else DeviceTensor(one))


def reshape(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Change the shape of a tensor of the device in place, as `return_and_correct_aliasing` of torch does."""
    before = torch._C._meta_in_tls_dispatch_include()
    with no_dispatch():
        torch._C._set_meta_in_tls_dispatch_include(True)
        try:
            func(*args, **kwargs)
        finally:
            torch._C._set_meta_in_tls_dispatch_include(before)


def each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A tensor, or tuples and lists of them, changed; what else there is stays."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (tuple, list)):
        return type(value)(each(one, change) for one in value)
    return value


INDEXED = (aten.index, aten._unsafe_index, aten.index_put, aten.index_put_, aten._index_put_impl_)

WITH_NUMBERS = {
    *(aten.masked_fill, aten.masked_fill_, aten.index_put, aten.index_put_, aten._index_put_impl_),
    *(aten.fill_, aten._foreach_add_, aten._foreach_mul, aten._foreach_mul_, aten._foreach_div_),
}
"""Operations that take a single number of the host's, beside those that go number by number."""


def refuse_other_places(gpu: Gpu, func: Any, args: tuple[Any, ...], given: list[Tensor]) -> None:
    """Refuse tensors of both places, but for what torch allows: single numbers and indices of the host's.

    Raises:
        RuntimeError: As torch does.
    """
    indices: set[int] = set()
    if func.overloadpacket in INDEXED:
        indices = {id(index) for index in args[1] if isinstance(index, Tensor)}
    for tensor in given:
        if isinstance(tensor, DeviceTensor):
            continue
        if id(tensor) in indices and isinstance(args[0], DeviceTensor):
            gpu.took(func)  # torch copies it first
        elif (
            tensor.dim() > 0
            or (func._schema.is_mutable and tensor is args[0])
            or not (torch.Tag.pointwise in func.tags or func.overloadpacket in WITH_NUMBERS)
        ):
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {GPU} and "
                f"cpu! ({func} at {call_site()})"
            )


def waits_for_result(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether the host must know something of the result: its value, or its shape."""
    if func.overloadpacket in INDEXED:
        return any(isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in args[1])
    if func.overloadpacket is aten.repeat_interleave:
        return kwargs.get("output_size") is None
    return bool({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags))


def copied(gpu: Gpu, into: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """`copy_`, in either direction or on the device."""
    if not isinstance(into, DeviceTensor):
        assert isinstance(source, DeviceTensor)
        gpu.brought("copy_", waits=not (non_blocking and is_pinned(gpu, into)))
        return into.copy_(source.held)
    if isinstance(source, DeviceTensor):
        gpu.operations += 1
        into.held.copy_(source.held)
    else:
        gpu.took("copy_", waits=not non_blocking)
        into.held.copy_(source)
    return into


def is_pinned(gpu: Gpu, tensor: Tensor) -> bool:
    """Whether a tensor, or what it is a view of, is in pinned memory."""
    return not isinstance(tensor, DeviceTensor) and tensor.untyped_storage().data_ptr() in gpu.pinned


def pin(gpu: Gpu, tensor: Tensor) -> Tensor:
    """A copy in pinned memory; it is kept, so that its address stays its own."""
    made = tensor.detach().clone()
    gpu.pinned[made.untyped_storage().data_ptr()] = made
    return made


class Upload(torch.autograd.Function):
    """To the device; its gradient comes back."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        """Copy it."""
        del ctx
        return DeviceTensor(tensor.detach().clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Bring the gradient to the host."""
        return Download.apply(*gradients)


class Download(torch.autograd.Function):
    """To the host; its gradient goes back."""

    @staticmethod
    def forward(ctx: Any, tensor: DeviceTensor) -> Tensor:
        """Copy it."""
        del ctx
        return tensor.held.detach().clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Take the gradient to the device."""
        return Upload.apply(*gradients)


def moved(gpu: Gpu, call: str, tensor: Tensor, device: torch.device, *, non_blocking: bool = False) -> Tensor:
    """The tensor on a device; itself where it is there."""
    if device.type == tensor.device.type:
        return tensor
    if device.type == "cuda":
        gpu.took(call, waits=not non_blocking)
        return Upload.apply(tensor)
    gpu.brought(call)  # in memory that is not pinned, so it is waited for however it is asked for
    return Download.apply(tensor)


def to(gpu: Gpu, tensor: Tensor, *args: Any, copy: bool = False, **kwargs: Any) -> Tensor:
    """`Tensor.to`."""
    if args and isinstance(args[0], Tensor):
        args = (args[0].device, args[0].dtype, *args[1:])
    device, dtype, non_blocking, memory_format = torch._C._nn._parse_to(*args, **kwargs)
    if device is not None and device.type == "meta":
        return tensor.to(device, dtype)
    there = tensor if device is None else moved(gpu, "to", tensor, device, non_blocking=non_blocking)
    kept = {} if memory_format is None else {"memory_format": memory_format}
    return there.to(dtype or there.dtype, copy=copy and there is tensor, **kept)


def tolist(gpu: Gpu, tensor: Tensor) -> Any:
    """`Tensor.tolist`."""
    return moved(gpu, "tolist", tensor, CPU).tolist()


def numpy(gpu: Gpu, tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
    """`Tensor.numpy`."""
    del gpu
    if isinstance(tensor, DeviceTensor):
        raise TypeError(
            f"can't convert {GPU} device type tensor to numpy. "
            "Use Tensor.cpu() to copy the tensor to host memory first."
        )
    return tensor.numpy(*args, **kwargs)


def array(gpu: Gpu, tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
    """`Tensor.__array__`, which numpy calls."""
    if isinstance(tensor, DeviceTensor):
        return numpy(gpu, tensor)
    return tensor.__array__(*args, **kwargs)


def data_ptr(gpu: Gpu, tensor: Tensor) -> int:
    """`Tensor.data_ptr`."""
    del gpu
    return tensor.held.data_ptr() if isinstance(tensor, DeviceTensor) else tensor.data_ptr()


def new_tensor(gpu: Gpu, tensor: Tensor, data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`Tensor.new_tensor`: numbers of the host's, taken to where a tensor is."""
    made = torch.tensor(data, dtype=dtype or tensor.dtype)
    return moved(gpu, "new_tensor", made, torch.device(device or tensor.device))


def one_hot(gpu: Gpu, tensor: Tensor, num_classes: int = -1) -> Tensor:
    """`one_hot`, which on a GPU reads its input only where it is to find the number of classes."""
    if not isinstance(tensor, DeviceTensor):
        return torch.nn.functional.one_hot(tensor, num_classes)
    if num_classes < 0:
        gpu.brought("one_hot")
    gpu.operations += 2  # zeros and scatter_
    return DeviceTensor(torch.nn.functional.one_hot(tensor.held, num_classes))


METHODS: dict[Any, Callable[..., Any]] = {
    Tensor.to: to,
    Tensor.cpu: lambda gpu, tensor: moved(gpu, "cpu", tensor, CPU),
    Tensor.cuda: lambda gpu, tensor, device=GPU, **given: moved(gpu, "cuda", tensor, GPU, **given),
    Tensor.tolist: tolist,
    Tensor.numpy: numpy,
    Tensor.__array__: array,
    Tensor.data_ptr: data_ptr,
    Tensor.new_tensor: new_tensor,
    Tensor.pin_memory: pin,
    Tensor.is_pinned: is_pinned,
    torch.nn.functional.one_hot: one_hot,
}
"""What is not done as on the CPU, though no keyword names the device."""

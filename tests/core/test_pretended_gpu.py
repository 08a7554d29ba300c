"""The test device does as a GPU does: what is known of CUDA, tried on tensors that but say they are there."""

import copy
import threading

import numpy as np
import pytest
import torch
from device_tensor import Gpu
from pretended_gpu import pretended_gpu
from torch import Tensor, nn

CUDA = torch.device("cuda")


@pytest.fixture
def gpu():
    with pretended_gpu() as found:
        yield found


def there(*shape: int) -> Tensor:
    return torch.ones(shape, device=CUDA)


def sites(gpu: Gpu) -> list[str]:
    return [one.site.split(":")[0] for one in gpu.transfers]


def test_torch_has_a_gpu_in_the_block_alone():
    with pretended_gpu():
        assert torch.cuda.is_available()
        assert torch.cuda.device_count() == 1
        assert torch.zeros(2, device="cuda").device == torch.device("cuda:0")
    assert not torch.cuda.is_available()
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        torch.zeros(2, device="cuda")


@pytest.mark.parametrize(
    "made",
    [
        lambda: torch.zeros(2, device="cuda"),
        lambda: torch.arange(3, device=CUDA),
        lambda: torch.tensor([1.0], device="cuda:0"),
        lambda: torch.zeros(2).to("cuda"),
        lambda: torch.zeros(2).cuda(),
        lambda: torch.zeros(2).to(there(1)),
        lambda: torch.zeros_like(torch.zeros(2), device=CUDA),
        lambda: torch.zeros(2).new_full((2,), 3.0, device=CUDA),
        lambda: there(2).new_tensor([1.0]),
        lambda: torch.ones_like(there(2)),
        lambda: there(2).half().float(),
        lambda: there(2, 2)[0].sum(),
        lambda: nn.Linear(2, 2).to(CUDA).weight,
        lambda: nn.Linear(2, 2, device=CUDA).weight,
        lambda: copy.deepcopy(nn.Linear(2, 2).to(CUDA)).weight,
        lambda: torch.nn.functional.one_hot(torch.arange(3, device=CUDA), 4),
    ],
)
def test_what_is_made_there_or_moved_there_is_there(gpu: Gpu, made):
    assert (made().device, made().is_cuda) == (torch.device("cuda:0"), True)


@pytest.mark.parametrize("made", [lambda: there(2).cpu(), lambda: there(2).to("cpu"), lambda: torch.ones(2)])
def test_what_is_brought_over_or_made_without_a_device_is_on_the_host(gpu: Gpu, made):
    assert made().device == torch.device("cpu")
    assert made().numpy().tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "mixed",
    [
        lambda: there(2) + torch.ones(2),
        lambda: torch.ones(2) * there(2),
        lambda: there(2, 2) @ torch.ones(2, 2),
        lambda: torch.cat([there(2), torch.ones(2)]),
        lambda: torch.stack([there(), torch.ones(())]),
        lambda: torch.where(torch.ones(2) > 0, there(2), there(2)),
        lambda: nn.functional.embedding(torch.zeros(2, dtype=torch.int64), there(3, 2)),
        lambda: there(3).gather(0, torch.zeros(1, dtype=torch.int64)),
        lambda: torch.ones(2)[torch.zeros(1, dtype=torch.int64, device=CUDA)],
        lambda: torch.ones(()).add_(there()),
        lambda: nn.Linear(2, 2)(there(2)),
    ],
)
def test_an_operation_on_tensors_of_both_places_is_refused_as_by_torch(gpu: Gpu, mixed):
    with pytest.raises(RuntimeError, match=r"Expected all tensors to be on the same device.*cuda:0 and cpu"):
        mixed()


def test_single_numbers_and_indices_of_the_host_are_taken_as_by_torch(gpu: Gpu):
    two = torch.tensor(2.0)
    assert (there(3) * two).tolist() == (two + there(3) - 1).tolist() == [2.0, 2.0, 2.0]
    assert there(3).masked_fill(there(3) > 0, two).tolist() == [2.0, 2.0, 2.0]
    assert not gpu.uploads
    assert there(3)[torch.tensor([0, 2])].tolist() == [1.0, 1.0]
    assert [one.waits for one in gpu.uploads] == [True]


@pytest.mark.parametrize(
    ("read", "times"),
    [
        (lambda x: x.sum().item(), 1),
        (lambda x: float(x.sum()), 1),
        (lambda x: int(x.sum()), 1),
        (lambda x: bool((x > 0).all()), 1),
        (lambda x: x.tolist(), 1),
        (lambda x: x.cpu(), 1),
        (lambda x: x.to("cpu", torch.float64), 1),
        (lambda x: torch.zeros(3).copy_(x), 1),
        (lambda x: x.nonzero(), 1),
        (lambda x: x[x > 0], 1),
        (lambda x: torch.masked_select(x, x > 0), 1),
        (lambda x: x.unique(), 1),
        (lambda x: torch.bincount(x.long(), minlength=5), 1),
        (lambda x: torch.equal(x, x), 1),
        (lambda x: x.repeat_interleave(x.long()), 1),
        (lambda x: x[x.sum().long() - 1], 1),
        (lambda x: [float(one) for one in x], 3),
        (lambda x: torch.cuda.synchronize(), 1),
        (lambda x: x.repeat_interleave(x.long(), output_size=3), 0),
        (lambda x: x[x.long() - 1], 0),
        (lambda x: x.masked_fill(x > 0, 2.0), 0),
        (lambda x: torch.where(x > 0, x, 0.0), 0),
        (lambda x: torch.nn.functional.one_hot(x.long(), 4), 0),
        (lambda x: (x.shape, x.dtype, x.device, len(x)), 0),
    ],
)
def test_what_the_host_learns_of_a_tensor_is_counted(gpu: Gpu, read, times: int):
    x = there(3)
    gpu.reset()
    read(x)
    assert sites(gpu) == ["core/test_pretended_gpu.py"] * times
    assert all(one.waits for one in gpu.transfers)


def test_a_transfer_is_told_with_the_line_that_asked_for_it(gpu: Gpu):
    def reads_it():
        return there(1).item()

    reads_it()
    line = reads_it.__code__.co_firstlineno + 1
    assert gpu.transfers[0].site == f"core/test_pretended_gpu.py:{line} reads_it"


def test_numpy_does_not_read_a_gpu(gpu: Gpu):
    for read in (lambda: there(2).numpy(), lambda: np.asarray(there(2))):
        with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
            read()


def test_a_copy_is_waited_for_unless_it_is_told_not_to_be_and_comes_into_pinned_memory(gpu: Gpu):
    pinned, other = torch.empty(2, pin_memory=True), torch.empty(2)
    assert (pinned.is_pinned(), pinned[1:].is_pinned(), other.is_pinned()) == (True, True, False)
    for into, non_blocking in ((pinned, True), (pinned, False), (other, True)):
        into.copy_(there(2), non_blocking=non_blocking)
    assert [one.waits for one in gpu.transfers] == [False, True, True]
    for non_blocking in (True, False):
        torch.zeros(2).pin_memory().to(CUDA, non_blocking=non_blocking)
    assert [one.waits for one in gpu.uploads] == [False, True]


def test_operations_are_counted_and_views_are_not(gpu: Gpu):
    x = there(4, 2)
    gpu.reset()
    ((x.view(2, 4)[0] + 1).unsqueeze(0) * 2).transpose(0, 1)
    assert gpu.operations == 2
    torch.ones(3) + 1
    assert gpu.operations == 2


def losses_of(device: torch.device, *, fused: bool) -> list[float]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    inputs, classes = torch.randn(5, 1, 4, 4).to(device), torch.tensor([0, 1, 2, 1, 0]).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, fused=fused)
    net.to(device)  # the optimizer keeps its parameters
    losses = []
    for _ in range(4):
        loss = nn.functional.cross_entropy(net(inputs), classes)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("fused", [True, False])
def test_training_computes_what_it_computes_on_the_cpu(fused: bool):
    expected = losses_of(torch.device("cpu"), fused=fused)
    with pretended_gpu() as gpu:
        assert losses_of(CUDA, fused=fused) == pytest.approx(expected, rel=1e-6)
        assert len(gpu.transfers) == 4, gpu.transfers
    assert expected[-1] < expected[0]


def test_a_gradient_goes_through_views_that_are_written_to_and_through_transfers(gpu: Gpu):
    host = torch.ones(2, 2, requires_grad=True)
    on_device = host.to(CUDA) * 3
    on_device[0] = 5.0
    on_device.cpu().sum().backward()
    assert host.grad is not None
    assert host.grad.tolist() == [[0.0, 0.0], [3.0, 3.0]]


def test_a_change_in_place_is_seen_through_every_view(gpu: Gpu):
    whole = torch.zeros(2, 3, device=CUDA)
    row = whole[1]
    assert whole.add_(1) is whole
    row[1:] *= 4
    assert whole.tolist() == [[1.0, 1.0, 1.0], [1.0, 4.0, 4.0]]
    assert whole.unsqueeze_(0).shape == (1, 2, 3)
    assert (whole[0].mv(there(3)) @ there(2, 4)).shape == (4,)
    whole.data = there(1)
    assert whole.tolist() == [1.0]


def test_autocast_of_the_device_alone_casts_what_is_there(gpu: Gpu):
    net, x = nn.Linear(2, 2).to(CUDA), there(1, 2)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        assert net(x).dtype == torch.bfloat16
        with torch.autocast("cuda", enabled=False):
            assert net(x).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net(x).dtype == torch.float32


def test_a_scaler_lowers_its_scale_after_an_overflow_and_the_step_is_left_out(gpu: Gpu):
    weight = nn.Parameter(there(1))
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), torch.amp.GradScaler("cuda", init_scale=4.0)
    for factor, expected in ((float("inf"), (1.0, 2.0)), (0.5, (0.5, 2.0))):
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert (weight.item(), scaler.get_scale()) == expected


def test_random_numbers_of_the_device_are_apart_from_those_of_the_host(gpu: Gpu):
    torch.manual_seed(1)
    host, state = torch.rand(2).tolist(), torch.get_rng_state()
    first = [torch.rand(2, device=CUDA).tolist(), nn.functional.dropout(there(4), 0.5).tolist()]
    assert torch.equal(torch.get_rng_state(), state), "drawing there moves no generator of the host"
    assert first[0] == host, "as both were seeded"
    kept = torch.cuda.get_rng_state_all()
    second = torch.rand(2, device=CUDA).tolist()
    torch.cuda.set_rng_state_all(kept)
    assert torch.rand(2, device=CUDA).tolist() == second != first[0]
    with torch.random.fork_rng(devices=[CUDA]):
        torch.rand(7, device=CUDA)
    torch.manual_seed(1)
    assert torch.rand(2, device=CUDA).tolist() == first[0]


def test_inference_mode_and_other_threads_see_tensors_of_the_device(gpu: Gpu):
    x = there(3)
    with torch.inference_mode():
        assert float(x[1:].sum()) == 2.0
    read: list[object] = []
    thread = threading.Thread(target=lambda: read.append((x + 1).cpu().numpy().tolist()))
    thread.start()
    thread.join()
    assert read == [[2.0, 2.0, 2.0]]

"""Which GPUs an evaluation computes on; no machine here need have one."""

import pytest
import torch

from arc_core.base.errors import ConfigError
from arc_core.evaluation import __main__ as rank
from arc_core.evaluation import gpus


@pytest.fixture
def count(monkeypatch):
    def set_count(number: int) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)

    return set_count


def test_cuda_is_every_gpu_and_a_number_one_of_them(count):
    count(3)
    assert gpus.find_gpus("cuda") == ["cuda:0", "cuda:1", "cuda:2"]
    assert gpus.find_gpus("cuda:2") == ["cuda:2"]


@pytest.mark.parametrize(
    ("number", "asked", "sentence"),
    [
        (0, "cuda", "device cuda is not here: torch sees no GPU; use --device cpu."),
        (0, "cuda:1", "device cuda:1 is not here: torch sees no GPU; use --device cpu."),
        (2, "cuda:2", "device cuda:2 is not here: torch sees cuda:0, cuda:1."),
    ],
)
def test_a_gpu_that_is_not_here_is_refused_in_one_sentence(count, capsys, number, asked, sentence):
    count(number)
    with pytest.raises(ConfigError, match=sentence.replace(".", r"\.")):
        gpus.find_gpus(asked)
    assert gpus.main([asked]) == 2
    assert capsys.readouterr() == ("", f"Error: {sentence}\n")


def test_the_names_are_printed_one_a_line(count, capsys):
    count(2)
    assert gpus.main(["cuda"]) == 0
    assert capsys.readouterr().out == "cuda:0\ncuda:1\n"


def test_the_processes_of_a_machine_share_its_gpus_in_turn(count, monkeypatch):
    count(2)
    found = []
    for local in range(4):
        monkeypatch.setenv("LOCAL_RANK", str(local))
        found.append(rank.device_of("cuda"))
    assert found == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert rank.device_of("cpu") == "cpu"


def test_without_torchrun_the_reason_is_one_sentence(capsys, monkeypatch):
    for name in rank.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    assert rank.main(["latest"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "Error: torchrun starts this, and sets RANK; `arc-tui eval` runs an evaluation on one machine.\n"
    )

"""What the training process sets for its libraries, and what it leaves as the user has it."""

import subprocess
import sys

import pytest

from arc_core.base.environment import prepare

NAMES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The process's environment: empty, and put back afterwards."""
    empty: dict[str, str] = {}
    monkeypatch.setattr("os.environ", empty)
    return empty


def test_kernels_of_all_grid_sizes_are_kept_and_threads_wait_without_spinning_long(
    environment: dict[str, str],
) -> None:
    prepare()
    assert [environment.get(name) for name in NAMES] == ["4096", "10000", None]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_user_has_set_stays(environment: dict[str, str], name: str) -> None:
    environment[name] = "7"
    prepare()
    assert environment[name] == "7"
    assert ("GOMP_SPINCOUNT" in environment) == (name != "OMP_WAIT_POLICY")


def test_preparing_imports_no_torch() -> None:
    code = "import sys, arc_core.__main__, arc_core.base.environment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""What the package says of itself in several files is the same in all of them."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _pins(name: str) -> dict[str, str]:
    """Name and version of each package of a list, with one spelling for each name."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_each_pinned_version_has_its_hashes_but_torch():
    pinned = _pins("constraints.txt")
    assert pinned.pop("torch") == "2.13.0"  # no local suffix: the builds for CPU and GPU are one version
    assert _pins("hashes.txt") == pinned, "run `make hashes`"
    text = (ROOT / "hashes.txt").read_text(encoding="utf-8")
    assert text.count("\n    --hash=sha256:") >= len(pinned)
    assert "://" not in text


def test_citation_has_the_version_of_the_package():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['version']}\n" in citation


def test_base_install_requires_nothing_that_computes():
    base = {re.split(r"[^\w-]", line)[0] for line in PROJECT["dependencies"]}
    assert "textual" in base
    assert not base & {"torch", "transformers", "safetensors"}
    train = {re.split(r"[^\w-]", line)[0] for line in PROJECT["optional-dependencies"]["train"]}
    assert train == {"torch", "transformers", "safetensors"}

"""The pages lead where they say: links of every page to files and headings, and pictures that are drawn."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
DRAWN = "pictures/"
"""What pictures lie in that `make docs` draws."""


def links(page: Path) -> list[str]:
    """What a page leads to, but for other machines."""
    text = re.sub(r"^(?: {4}|```).*$|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [to for to in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in to]


def headings(page: Path) -> set[str]:
    """The anchors of a page."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_its_heading(page: Path):
    wrong: list[str] = []
    for link in links(page):
        name, _, heading = link.partition("#")
        to = (page.parent / name).resolve() if name else page
        if name.startswith(DRAWN):
            continue
        if not to.exists() or (heading and heading not in headings(to)):
            wrong.append(link)
    assert wrong == []


def test_every_page_is_in_the_site():
    nav = repr(tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"])
    assert [page.name for page in sorted(DOCS.glob("*.md")) if f"'{page.name}'" not in nav] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pictures_that_the_pages_show_are_those_that_the_script_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(ROOT / "tests" / "recorded")
    pictures = __import__("pictures")
    pictures.asyncio.run(pictures.draw(tmp_path))
    shown = {link for page in DOCS.glob("*.md") for link in links(page) if link.startswith(DRAWN)}
    drawn = {f"{DRAWN}{path.name}": path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert shown == drawn.keys()
    told = {
        "console": "RUNNING",
        "grids": "target",
        "cursor": "step&#160;4",
        "runs": "crashed",
        "comparison": "mean&#160;and&#160;range&#160;over&#160;seeds",
        "keys": "Copy&#160;what",
        "checkpoint": "histogram|quantile|mean",
        "tensor": "embed_tokens",
        "drift": "change&#160;since",
        "solve": "ANSWERED",
        "results": "attempt&#160;1",
    }
    without = [name for name, words in told.items() if not re.search(words, drawn[f"{DRAWN}{name}.svg"])]
    assert without == []

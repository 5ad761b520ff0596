"""What the documentation points at is there: files of the paper's parts, pages and their links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])


def test_every_file_of_the_papers_parts_exists() -> None:
    named = re.findall(r"`((?:real3d_portrait|training)/[\w/.]*)`", (ROOT / "docs" / "paper.md").read_text())
    assert len(named) > 50
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.S)
    targets = [link.partition("#")[0] for link in re.findall(r"\]\(<?([^)\s>]+)", text) if "://" not in link]
    assert [target for target in targets if target and not (ROOT / page).parent.joinpath(target).exists()] == []


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    def pages(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry
        return [page for part in parts for page in pages(part)]  # type: ignore[union-attr]

    listed = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(f"docs/{page}" for page in listed) == [page for page in PAGES if page.startswith("docs/")]

"""The documentation holds: its links lead somewhere, its examples run, its sentences are short."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import reference, sentences

ROOT = Path(__file__).parents[1]
WRITTEN = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose_only(path: Path) -> str:
    return re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", prose_only(path), flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings]
    return {re.sub(r"\s", "-", heading) for heading in plain}


@pytest.mark.parametrize("path", WRITTEN, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    for target in LINK.findall(prose_only(path)):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


@pytest.mark.parametrize("file", sorted(reference.FILES), ids=lambda file: file.name)
def test_a_written_file_is_what_the_code_says(file: Path) -> None:
    """Otherwise run `python scripts/reference.py`."""
    assert file.read_text("utf-8") == reference.FILES[file]()


@pytest.mark.parametrize("path", sentences.pages(), ids=name_of)
def test_sentences_are_short(path: Path) -> None:
    page = sentences.prose(path)
    longest = max(page.sentences, key=lambda sentence: len(sentence.split()), default="")
    assert page.fits, f"{page.words} words, mean {page.mean:.1f}, longest {page.longest}: {longest}"


def test_the_readme_is_short_with_its_code_and_tables() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").split()) <= sentences.README_WORDS


def test_a_sentence_ends_with_its_mark_and_an_item_with_its_line() -> None:
    text = "# Title\n\nOne two three. Four `five. six`.\n\n- seven eight\n- nine\n\n| a | b |\n"
    assert [len(found.split()) for found in sentences.sentences(text)] == [3, 3, 2, 1]


def test_the_readmes_quickstart_prints_what_it_says(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    code, expected = re.findall(r"```python\n(.*?)```.*?```text\n(.*?)```", readme, re.DOTALL)[0]
    file = tmp_path / "quickstart.py"
    file.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}", "utf-8")
    ran = subprocess.run(
        [sys.executable, str(file)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == expected


@pytest.mark.parametrize(
    "diff", re.findall(r"```diff\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
)
def test_a_diff_of_the_contributing_page_fits_the_code(diff: str) -> None:
    for part in re.split(r"^--- a/", diff, flags=re.MULTILINE)[1:]:
        source = (ROOT / part.split("\n")[0]).read_text("utf-8")
        for hunk in re.split(r"^@@.*\n", part, flags=re.MULTILINE)[1:]:
            lines = [line for line in hunk.splitlines() if not line.startswith(("+", "\\"))]
            before = "\n".join(line[1:] for line in lines).rstrip()
            assert before in source, before


def test_the_site_lists_every_page() -> None:
    site, docs = (ROOT / "mkdocs.yml").read_text("utf-8"), ROOT / "docs"
    listed = set(re.findall(r": ([\w/-]+\.md)$", site, re.MULTILINE))
    assert listed == {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}

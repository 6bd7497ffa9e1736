"""Count words and the length of sentences in README and the documentation.

    python scripts/sentences.py            # a table of every page; exit code 1 beyond a bound
    python scripts/sentences.py --longest  # the longest sentence of each page as well
    python scripts/sentences.py --at 7bcd59e  # the pages as a commit had them

Code blocks, tables, headings and link targets are left out. An item of a list ends a sentence.
README and new pages have one bound. Deep pages that were here before have bounds of their own,
which may only fall.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

MEAN, LONGEST = 20.0, 45
"""Words a sentence: on average, and at most."""

README_WORDS = 900

DEEP: dict[str, tuple[float, int]] = {}
"""Mean and longest sentence of pages that were here before, rounded up: they may only fall."""

_TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md")

_GENERATED = ("docs/reference/",)
"""Written from the code: their words are held where they come from."""

_ABBREVIATED = re.compile(r"\b(e\.g|i\.e|et al|vs|No|cf|Fig)\.", re.IGNORECASE)
_END = re.compile(r"(?<=[.!?])[)\"'*_]*\s+(?=[\"'(*_`\[]*[A-Z0-9`])")


@dataclass(frozen=True, kw_only=True)
class Prose:
    """What a page's sentences come to."""

    name: str
    sentences: tuple[str, ...]

    @property
    def lengths(self) -> list[int]:
        return [len(sentence.split()) for sentence in self.sentences]

    @property
    def words(self) -> int:
        return sum(self.lengths)

    @property
    def mean(self) -> float:
        return self.words / len(self.lengths) if self.lengths else 0.0

    @property
    def longest(self) -> int:
        return max(self.lengths, default=0)

    @property
    def bound(self) -> tuple[float, int]:
        return DEEP.get(self.name, (MEAN, LONGEST))

    @property
    def fits(self) -> bool:
        mean, longest = self.bound
        few = self.name != "README.md" or self.words <= README_WORDS
        return self.mean <= mean and self.longest <= longest and few


def paragraphs(text: str) -> Iterator[str]:
    """Paragraphs and items of lists, without code, tables, headings, comments and pictures."""
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^( *)(```|~~~).*?^\1\2 *$", "\n", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^(?: {4}\S.*)$", "", text, flags=re.MULTILINE) if "\n\n    " in text else text
    kept: list[str] = []
    for line in [*text.splitlines(), ""]:
        skipped = re.match(r"\s*(\||#|!\[|:::|-{3,}$|!!!|={3,})", line) is not None
        item = re.match(r"\s*([-*+]|\d+\.)\s+", line)
        if skipped or not line.strip() or item:
            if kept:
                yield " ".join(kept)
            kept = []
        if item:
            kept = [line[item.end() :].strip()]
        elif line.strip() and not skipped:
            kept.append(line.strip())


def sentences(text: str) -> list[str]:
    """The sentences of a page, in which a span of code or a link is its words."""
    found: list[str] = []
    for paragraph in paragraphs(text):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", paragraph)
        plain = re.sub(r"`([^`]*)`", lambda code: _as_words(code[1]), plain)
        plain = _ABBREVIATED.sub(r"\1", plain)
        found += [part for part in _END.split(plain) if re.search(r"\w", part)]
    return found


def _as_words(code: str) -> str:
    """As many words as a span of code has, none of which ends a sentence."""
    return " ".join(["Code"] * max(1, len(code.split())))


def prose(path: Path) -> Prose:
    """The sentences of one page."""
    name = path.relative_to(ROOT).as_posix()
    return Prose(name=name, sentences=tuple(sentences(path.read_text("utf-8"))))


def prose_at(commit: str) -> list[Prose]:
    """The sentences of the same pages as a commit had them."""
    listed = _git("ls-tree", "-r", "--name-only", commit, *_TOP, "docs").split()
    names = [name for name in listed if name.endswith(".md") and not name.startswith(_GENERATED)]
    return [
        Prose(name=name, sentences=tuple(sentences(_git("show", f"{commit}:{name}"))))
        for name in sorted(names, key=lambda name: (name.startswith("docs/"), name))
    ]


def _git(*words: str) -> str:
    ran = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return ran.stdout


def pages() -> list[Path]:
    """README and every page that is written by hand."""
    docs = sorted((ROOT / "docs").rglob("*.md"))
    top = [ROOT / name for name in _TOP]
    found = [path for path in [*top, *docs] if path.is_file()]
    return [p for p in found if not p.relative_to(ROOT).as_posix().startswith(_GENERATED)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--longest", action="store_true", help="show each page's longest sentence")
    parser.add_argument("--at", metavar="COMMIT", help="count the pages of a commit")
    given = parser.parse_args()
    found = prose_at(given.at) if given.at else [prose(path) for path in pages()]
    print(f"{'page':<44}{'words':>7}{'mean':>7}{'longest':>9}   bound")
    for page in found:
        mean, longest = page.bound
        mark = "" if page.fits else "   beyond"
        numbers = f"{page.words:>7}{page.mean:>7.1f}{page.longest:>9}"
        print(f"{page.name:<44}{numbers}   {mean:g}, {longest}{mark}")
        if given.longest and page.sentences:
            print("    " + max(page.sentences, key=lambda sentence: len(sentence.split())))
    if not all(page.fits for page in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

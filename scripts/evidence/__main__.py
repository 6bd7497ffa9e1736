"""Write the pages of results, and the parts of other pages that hold results.

    python -m scripts.evidence            # writes them
    python -m scripts.evidence --check    # exit code 1 where one is not what the results say

Both also name numbers in the text of pages that nothing stored accounts for (`traced`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from . import attacks, blocks, clean, published, traced
from .stored import ROOT, read_all

NOTE = (
    f"{blocks.WRITTEN} `python -m scripts.evidence` from experiments/results. "
    "Change those, then run it. -->\n\n"
)


def pages() -> Iterator[tuple[str, str]]:
    """Each page that holds results, by its path, as the stored results have it."""
    nobody, hostile = read_all(clean.COMPARISONS), read_all(attacks.COMPARISONS)
    yield "docs/evidence/clean.md", NOTE + clean.page(nobody).rstrip() + "\n"
    found = attacks.page(hostile, read_all(attacks.RELAY_ONLY))
    yield "docs/evidence/attacks.md", NOTE + found.rstrip() + "\n"
    yield "docs/evidence/published.md", NOTE + published.page().rstrip() + "\n"
    for name in blocks.pages():
        yield name, blocks.filled((ROOT / name).read_text("utf-8"))


def stale() -> dict[str, str]:
    """Pages that are not what the stored results say, as they should be."""
    return {
        name: text
        for name, text in pages()
        if not (ROOT / name).is_file() or (ROOT / name).read_text("utf-8") != text
    }


def write_pages() -> list[str]:
    """Write what is stale; the names written."""
    found = stale()
    for name, text in found.items():
        (ROOT / name).write_text(text, "utf-8")
    return list(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say what differs")
    check = parser.parse_args().check
    found = list(stale()) if check else write_pages()
    print(f"{'differ' if check else 'written'}: {', '.join(found) or 'none'}")
    unknown = [line for name in blocks.pages() for line in traced.faults(name)]
    print("\n".join(unknown) or "every number is traced")
    if unknown or (check and found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""Numbers in the text of pages: each is noted with where it comes from, or it is named here.

`experiments/results/earlier/NAME.json` says which page it is of, and holds

- `in_text`: what the page says, with the command that gave it, or `table NAME` where the numbers
  are those of a stored table of that file;
- `given`: what the page says that nobody measured, with what it is: a setting, a constant of the
  code or of Flower, arithmetic.

A number looks measured where it is a decimal, a per cent, a power of ten, has a comma, or has a
unit. Bare whole numbers ("20 participants") do not, and neither do numbers in code and generated
blocks. In README and on the pages of results every number does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from .blocks import BLOCK
from .stored import FOLDER, ROOT

__all__ = ["faults", "prose", "unknown"]

_UNITS = "s|ms|seconds|minutes|hours|MB|GB|kB|bytes|points|dB"
_MEASURED = re.compile(
    rf"(?<![\w.])(?:\d+(?:[.,]\d+)+|\d+ ?%|\d+ (?:{_UNITS})\b|\.\d{{2,}}|10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
)
_VALUE = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
_ANY = re.compile(r"\d[\d.,]*\d|\d")

_GIVEN = {
    "version 0.1.0": "the version",
    "Python 3.11": "requires-python of pyproject.toml",
    "Flower 1.41": "the Flower that is supported",
    "Dirichlet 0.1": "how cases are divided",
    "Dirichlet 0.3": "how cases are divided",
    "127.0.0.1": "the loopback address",
    "arXiv 2605.02935": "the paper's number",
}
"""What is no result on any page."""


def prose(text: str) -> str:
    """A page without generated blocks, code, targets of links and comments."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", BLOCK.sub("", text), flags=re.DOTALL)
    return " ".join(re.sub(r"`[^`]*`|\]\([^)]*\)", "", text).split())


def faults(name: str) -> list[str]:
    """What is wrong with the numbers of a page."""
    return unknown(name, (ROOT / name).read_text("utf-8"), _noted().get(name, {}))


def unknown(name: str, page: str, noted: Mapping[str, Any]) -> list[str]:
    """Numbers of a page that are not noted, and notes that the page does not bear out."""
    text, in_text, found = prose(page), noted.get("in_text", {}), []
    for said, source in in_text.items():
        if said in text and source.startswith("table "):
            table = noted["tables"][source.removeprefix("table ")]
            stored = _values(json.dumps([table["columns"], table["rows"]]))
            missing = _values(" ".join(_MEASURED.findall(said))) - stored
            found += [f"{name}: {source} does not hold {number:g}" for number in missing]
    for said in (*in_text, *noted.get("given", {})):
        found += [] if said in text else [f"{name} does not say {said!r} any more"]
        text = text.replace(said, "")
    for said in _GIVEN:
        text = text.replace(said, "")
    strict = name == "README.md" or name.startswith("docs/evidence/")
    return found + [
        f"{name}: where does {number[0]!r} come from? …{text[max(0, number.start() - 40) :][:80]}…"
        for number in (_ANY if strict else _MEASURED).finditer(text)
    ]


def _values(text: str) -> set[float]:
    return {float(number.replace(",", "")) for number in _VALUE.findall(text)}


@cache
def _noted() -> dict[str, dict[str, Any]]:
    """What is noted, by the page that it is of."""
    files = sorted((FOLDER / "earlier").glob("*.json"))
    noted = [json.loads(path.read_text("utf-8")) for path in files]
    return {each["page"]: each for each in noted}

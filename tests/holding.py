"""Why a changed ledger holds: what was changed, and on whose word that rests.

A ledger that was changed and sealed again by its operator holds where nothing was changed, where
it ends sooner, and where all that differs is the operator's own word, without consequence for any
rule. Everything else should have been found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["UNEXPLAINED", "why"]

UNEXPLAINED = "UNEXPLAINED"

_WORD = {
    r"genesis\.settings\.(arrayrecord_key|configrecord_key|weighted_by_key|train_metrics.*|.*_key)":
        "how records are called, which no rule asks about",
    r"genesis\.participants\[\]": "a name that nobody signs under",
    r"genesis\.utilities\[\]|testing\.utilities\[\]\[\]": "a vote that nobody signed",
    r"admission\.participants\[\]": "a name that nobody signs under",
    r"deposit\.present(\[\])?": "who was there: the operator's word",
    r"commitment\.lanes\[\]\[\]\.(fault|turns|way)": "what came of a turn: the operator's word",
    r"testing\.turns(\[\])?": "how long examiners took: the operator's word",
    r"testing\.(models|probes|references|shown|planted)\[\]":
        "a model of a test that is not kept any more: its name is the operator's word",
    r"commitment\.lanes\[\]\[\]\.(model|sent|base)": "a hop that nobody signed",
    r"(publication|settlement)\.(batons|trails|moments|champion|merged_from)(\[\])?":
        "an average whose parents are not kept any more",
}  # fmt: skip
"""Places, and why another value there can hold."""

_SIGNED = ("utilities", "participants", "lanes", "model", "shown", "probes", "references")
"""What participants sign for, where they do: nothing of it is the operator's word then."""


def why(before: Sequence[str], after: Sequence[str], *, signed: bool = False) -> str:
    """Why a ledger of these bodies may hold, where the first is the true one.

    Parameters
    ----------
    signed : bool
        Whether participants signed their hops and votes.
    """
    if list(after) == list(before):
        return "nothing was changed"
    if list(after) == list(before[: len(after)]):
        return "it ends sooner: nothing of it was changed"
    if len(before) != len(after):
        return f"{UNEXPLAINED}: {len(after)} blocks instead of {len(before)}"
    pairs = [
        (json.loads(one), json.loads(other))
        for one, other in zip(before, after, strict=True)
        if one != other
    ]
    places = {f"{one['kind']}{path}" for one, other in pairs for path in _differences(one, other)}
    reasons = {_reason(place, signed) for place in places}
    unexplained = sorted(each for each in reasons if each.startswith(UNEXPLAINED))
    return ", ".join(unexplained or sorted(reasons))


def _reason(place: str, signed: bool) -> str:
    if signed and any(part in re.split(r"[.\[\]]+", place) for part in _SIGNED):
        return f"{UNEXPLAINED}: {place} although participants sign"
    found = (reason for pattern, reason in _WORD.items() if re.fullmatch(pattern, place))
    return next(found, f"{UNEXPLAINED}: {place}")


def _differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """The places in which two bodies differ, without the numbers of entries."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from _differences(one.get(key), other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for left, right in zip(one, other, strict=True):
            yield from _differences(left, right, f"{path}[]")
    elif one != other or type(one) is not type(other):
        yield path

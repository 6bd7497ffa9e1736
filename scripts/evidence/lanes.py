"""Relays of several lanes under attack, beside the relay of one lane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flower_relay.comparison.statistics import CLOSE, median

from .figures import NAMES, seeds_said, shown, table

if TYPE_CHECKING:
    from .attacks import Attacked

__all__ = ["section"]

INTRODUCTION = """\
## Several lanes under attack

Three lanes relay at once and meet by Adam's rule, or as many as the run allows (`auto`). A wave has
as many, and trains a round while the one before it is judged. All were played by the same rules:
they can be compared with each other, and not with the tables above. Learning rates are those that
were tuned for one lane."""


def section(found: Sequence[Attacked]) -> str:
    """What is left, what is paid, and how it ends, with one lane and with several."""
    names = [name for name in NAMES if any(name in each.strategies for each in found)]
    head = ["world", "hostile", "attack", *(NAMES[name] for name in names)]
    tables = {
        "What is left of each one's own rise, and in the worst seed": _left,
        "Final accuracy": _final,
        "Rewards of the hostile, by their share of the heads": _paid,
    }
    note = seeds_said(group for each in found for group in each.strategies.values())
    parts = [INTRODUCTION, f"{note[0].upper()}{note[1:]}.", *_told(found, names)]
    for title, figure in tables.items():
        rows = [
            [each.world, f"{each.share:.0%}", each.name, *(figure(each, name) for name in names)]
            for each in found
        ]
        parts += [f"{title}:", table(head, rows)]
    return "\n\n".join(parts) + "\n"


def _told(found: Sequence[Attacked], names: Sequence[str]) -> Iterator[str]:
    """In how many attacks each ends below one lane, level with it, or above it."""
    lines = []
    for name in names[1:]:
        both = [each for each in found if {name, "relay"} <= each.strategies.keys()]
        moved = [each.final(name) - each.final("relay") for each in both]
        below, above = sum(m < -CLOSE for m in moved), sum(m > CLOSE for m in moved)
        level = len(moved) - below - above
        lines.append(
            f"- {NAMES[name]}: below one lane in {below} of {len(moved)} attacks, level within "
            f"half a point in {level}, above it in {above}."
        )
    yield "\n".join(lines)


def _left(each: Attacked, name: str) -> str:
    if name not in each.strategies or name not in each.clean:
        return "–"
    found = each.left(name)
    return f"{shown(median(found).median, '.2f')} ({shown(min(found.values()), '.2f')})"


def _final(each: Attacked, name: str) -> str:
    return shown(each.final(name), ".3f") if name in each.strategies else "–"


def _paid(each: Attacked, name: str) -> str:
    group = each.strategies.get(name)
    return shown(group.median("hostile_pay").median, ".2f") if group else "–"

"""Should I use this instead of FedAvg? The answer in a few lines with the numbers in them."""

from __future__ import annotations

import math

from .contests import (
    Contest,
    best_rival,
    contests,
    has_learned_there,
    strongest_rival,
    target_of,
)
from .files import Results
from .statistics import CLOSE, ENOUGH, Standing, difference, median, ratio

__all__ = ["answer", "measured"]

_HEADER = "The relay against the averaging strategies, medians over seeds:"


def answer(results: Results) -> list[str]:
    """Where the relay wins and where it loses; nothing without a relay and a rival.

    A tie is called a tie, and who learned nothing has won nothing.
    """
    found = contests(results.cells)
    asked = float(results.plan["target"])
    lines = [line for contest in found for line in _of(contest, asked)]
    seeds = {len(by_seed) for contest in found for by_seed in contest.cells.values()}
    few = [f"  Few seeds ({min(seeds)}): {ENOUGH} are the least to rely on."]
    return [_HEADER, *lines, *(few if min(seeds) < ENOUGH else [])] if lines else []


def measured(results: Results) -> list[str]:
    """What accuracy means here, where the cells say so: an app of the user's has its own."""
    said = {str(found["final"].get("measured", "")) for found in results.cells}
    return [f"Accuracy here is {text}." for text in sorted(said) if text]


def _of(contest: Contest, asked: float) -> list[str]:
    strongest = strongest_rival(contest)
    if strongest is None or "relay" not in contest.cells:
        return []
    where = f"  {contest.data}, {contest.partition}, {contest.threat}"
    if not (learned := [n for n in ("relay", strongest) if has_learned_there(contest, n)]):
        return [f"{where}: nothing was learned, by the relay or by {strongest}."]
    gain = difference(contest.final("relay"), contest.final(strongest))
    tie = " (a tie)" if gain.beside(0.0, CLOSE) is Standing.TIE else ""
    missing = "" if len(learned) == 2 else f"; {_missing(learned, strongest)} learned nothing"
    line = f"{where}: final accuracy {gain.shown('+.3f')}{tie} against {strongest}{missing}"
    return [f"{line}{'' if contest.attack else _costs(contest, target_of(contest, asked))}."]


def _missing(learned: list[str], strongest: str) -> str:
    return strongest if "relay" in learned else "the relay"


def _costs(contest: Contest, target: float) -> str:
    """What the relay takes to a target, of what the cheapest rival does, and its examinations."""
    rival = best_rival(contest, "epochs", target)
    if rival is None or math.isnan(target):
        return ""
    axes = {
        "client-epochs": "epochs",
        "bytes": "bytes",
        "seconds (homogeneous fleet)": "seconds homogeneous",
    }
    ratios = {
        name: ratio(contest.spent("relay", axis, target), contest.spent(rival, axis, target))
        for name, axis in axes.items()
    }
    parts = [f"{found.shown('.2f')} of the {name}" for name, found in ratios.items() if found.known]
    text = f"; to {target:.3f} it takes, of {rival}'s, {', '.join(parts)}"
    examined = median(contest.evaluations("relay"))
    more = (
        f"; and {examined.median:.1f} evaluations a client-epoch beside" if examined.known else ""
    )
    return text + more

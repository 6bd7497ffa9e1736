"""Should I use this instead of FedAvg? The answer in a few lines with the numbers in them."""

from __future__ import annotations

from .contests import Contest, best_rival, contests, strongest_rival, target_of
from .files import Results
from .statistics import difference, ratio

__all__ = ["answer"]

_HEADER = "The relay against the averaging strategies, medians over seeds:"


def answer(results: Results) -> list[str]:
    """Where the relay wins and where it loses; nothing without a relay and a rival."""
    found = contests(results.cells)
    highest = float(results.plan["target"])
    lines = [line for contest in found for line in _of(contest, highest)]
    return [_HEADER, *lines] if lines else []


def _of(contest: Contest, highest: float) -> list[str]:
    strongest = strongest_rival(contest)
    if strongest is None or "relay" not in contest.cells:
        return []
    end = difference(contest.final("relay"), contest.final(strongest)).shown("+.3f")
    where = f"{contest.data}, {contest.partition}, {contest.threat}"
    line = f"  {where}: final accuracy {end} against {strongest}"
    return [f"{line}{'' if contest.attack else _costs(contest, target_of(contest, highest))}."]


def _costs(contest: Contest, target: float) -> str:
    """What the relay takes to a target, of what the cheapest rival does."""
    rival = best_rival(contest, "epochs", target)
    if rival is None:
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
    return f"; to {target:.2f} it takes, of {rival}'s, {', '.join(parts)}"

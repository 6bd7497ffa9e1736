"""Should I use this instead of FedAvg? The answer in a few lines with the numbers in them."""

from __future__ import annotations

from .contests import Contest, best_rival, contests, target_of
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
    target = target_of(contest, highest)
    rival = best_rival(contest, "epochs", target)
    if rival is None or "relay" not in contest.cells:
        return []
    end = difference(contest.final("relay"), contest.final(rival)).shown("+.3f")
    line = f"{contest.data}, {contest.partition}, {contest.threat}: final accuracy {end}"
    if contest.attack:
        return [f"  {line} against {rival}."]
    axes = {
        "client-epochs": "epochs",
        "bytes": "bytes",
        "seconds (homogeneous fleet)": "seconds homogeneous",
    }
    ratios = {
        name: ratio(contest.spent("relay", axis, target), contest.spent(rival, axis, target))
        for name, axis in axes.items()
    }
    parts = [f"{found.shown('.2f')} of its {name}" for name, found in ratios.items() if found.known]
    return [f"  {line} against {rival}; to {target:.2f} it takes {', '.join(parts)}."]

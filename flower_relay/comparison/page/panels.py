"""Contests put in order: a panel is one data set and partition, clean and under attacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..contests import AVERAGING, Contest, Found, contests, plain, target_of
from ..files import Results

__all__ = ["RELAY", "UNTESTED", "Panel", "attack_title", "palette_of", "panels_of", "title_of"]

RELAY, UNTESTED = "relay", "relay-untested"

_TITLES = {
    RELAY: "Relay",
    UNTESTED: "Relay, untested",
    "relay-fanout": "Relay, fan-out",
    "cyclic": "Cyclic ring",
    "fedavg": "FedAvg",
    "fedprox": "FedProx",
    "fedavgm": "FedAvgM",
    "fedadam": "FedAdam",
    "scaffold": "SCAFFOLD",
    "daisychain": "Daisy chain",
    "fedmedian": "FedMedian",
    "fedtrimmedavg": "FedTrimmedAvg",
    "multikrum": "MultiKrum",
}
"""Known strategies, in the order in which they are shown."""

_SCHEMES = {
    "dirichlet": "Dirichlet {}",
    "iid": "IID",
    "labels": "labels per participant: {}",
    "natural": "natural split",
}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One data set and partition.

    Attributes
    ----------
    clean : Contest
        With nobody hostile; without cells where that was not played.
    attacked : tuple of Contest
        By attack, then by share.
    target : float
        The accuracy that costs are measured to; NaN where no rival learned anything.
    """

    title: str
    clean: Contest
    attacked: tuple[Contest, ...]
    target: float

    @property
    def rivals(self) -> list[str]:
        """The averaging strategies that relay's costs are measured against."""
        return [strategy for strategy in shown(self.clean) if plain(strategy) in AVERAGING]


def panels_of(results: Results) -> tuple[Panel, ...]:
    """Sort contests into panels, in the plan's order."""
    found = contests(results.cells)
    planned = results.plan["data"], results.plan["partitions"]
    places = {(each.data, each.partition) for each in found}
    ordered = sorted(places, key=lambda at: tuple(map(_place, at, planned)))
    return tuple(_panel(*at, found, float(results.plan["target"])) for at in ordered)


def _panel(data: str, partition: str, found: Sequence[Contest], highest: float) -> Panel:
    here = [each for each in found if (each.data, each.partition) == (data, partition)]
    attacked = [each for each in here if each.attack]
    nobody = [each for each in here if not each.attack]
    clean = nobody[0] if nobody else Contest(data, partition, "", 0.0)
    return Panel(
        title=f"{data}, {_scheme(partition)}",
        clean=clean,
        attacked=tuple(sorted(attacked, key=lambda each: (each.attack, each.share))),
        target=target_of(clean, highest) if clean.cells else highest,
    )


def _scheme(partition: str) -> str:
    name, _, value = partition.partition(":")
    return _SCHEMES.get(name, partition).format(value)


def _place(name: str, order: Sequence[str]) -> tuple[int, str]:
    """Where a name stands in an order; those that do not, by name after all others."""
    return (order.index(name) if name in order else len(order), name)


def shown(contest: Contest) -> list[str]:
    """A contest's strategies in the order in which they are shown."""
    known = list(_TITLES)
    return sorted(contest.cells, key=lambda name: (_place(plain(name), known), name))


def cells_of(contest: Contest, strategy: str) -> list[Found]:
    """A strategy's cells, by seed."""
    return [found for _, found in sorted(contest.cells.get(strategy, {}).items())]


def title_of(strategy: str) -> str:
    """A strategy's name for people, with the settings that it has of its own."""
    name, _, settings = strategy.partition(":")
    title = _TITLES.get(name, name)
    return f"{title} · {settings}" if settings else title


def attack_title(contest: Contest) -> str:
    """Who is hostile."""
    if not contest.attack:
        return "nobody hostile"
    return f"{contest.attack}, {100 * contest.share:g}\u00a0%"


def palette_of(panels: Iterable[Panel]) -> Mapping[str, int]:
    """A colour's number for each strategy, the same in every chart of a page."""
    everybody = {
        name for panel in panels for each in (panel.clean, *panel.attacked) for name in each.cells
    }
    # Who is not here needs no colour, as there are a dozen; but the first one is the relay's own.
    known = [name for name in _TITLES if name in everybody | {RELAY}]
    return {name: number for number, name in enumerate([*known, *sorted(everybody - set(known))])}

"""The page of worlds and attacks, and its table of attacks that only a relay has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flower_relay.comparison.statistics import CLOSE, median

from . import lanes
from .figures import NAMES, Group, groups, seeds_said, shown, table, where
from .provenance import commands_of, played_by
from .stored import Stored

__all__ = ["COMPARISONS", "RELAY_ONLY", "Attacked", "attacked_in", "page"]

COMPARISONS = ("attacks", "attacks-more")
"""Stored results of the relay and the rules that out-vote the hostile."""
RELAY_ONLY = ("examiners", "attacks-lanes")
"""Stored results of attacks that only a relay has, and of relays of several lanes."""

STRATEGIES = ("relay", "multikrum", "fedtrimmedavg", "fedmedian", "fedavg")

LEAST = 0.02
"""A rise that is smaller has nothing to lose: no share of it is given."""

GOALS = {0.2: (0.95, 0.85), 0.4: (0.85, 0.0)}
"""What is to be left in the median and in the worst seed, by the share of the hostile."""
MOST_PAID = 0.25
"""Of an honest share: what an attack may be paid."""

ATTACKS = {
    "label-flip": "labels flipped", "sign-flip": "update reversed", "alie": "ALIE",
    "ipm:0.1": "inner product × 0.1", "ipm:10": "inner product × 10", "min-max": "min-max",
    "scale": "update × 100", "class-flip": "one class flipped", "noise": "noise",
    "liar": "examiners lie, train honestly", "audit-liar": "lies in audits only",
    "sign-flip+colluder": "update reversed, examiners praise each other",
    "creeping": "creeping under the tolerance",
    "sleeper:6+sign-flip": "update reversed after 6 honest hops",
    "sleeper:6+sign-flip+liar+crowd:20": "reversed after 6 honest hops, 20 fresh names examine",
}  # fmt: skip
"""Attacks as the tables name them. Those on everybody lie as examiners, too."""

INTRODUCTION = """\
# Results: under attack

This page shows what a fifth and two fifths of hostile participants leave of what is learned. Every
hostile participant of the relay also lies as an examiner. Learning rates are those that were tuned
with [nobody hostile](clean.md). MultiKrum and FedTrimmedAvg are told how many are hostile. A script
writes this page from the stored results.
"""

COLUMNS = """\
## How to read the tables

- **What is left** is the rise of test accuracy under attack, divided by the same strategy's rise
  with nobody hostile on the same seeds. The rise is counted from what is had without learning. 1 is
  all of it, 0 is nothing.
- The first figure is the median of the seeds. The one in brackets is the **worst seed**.
- **Final accuracy** is given in the second table of each world. In it strategies can be compared
  with each other: one that learns less has less to lose.
- **Rewards** are what hostile participants were paid for their hops and tests, by their share of
  the heads. 1 is what as many honest participants would get on average. Averaging pays nobody.
- The relay *loses* where its median final accuracy is more than half a point below the best of the
  other four under the same attack.

Attacks, in the words of the tables: *ALIE* are colluders who stay within the spread of honest
updates. *Inner product* are colluders who send the honest mean, reversed and scaled. *Min-max* are
colluders who go as far as the two most distant honest updates are apart. *Update × 100* is an
honest update, made a hundred times as large. *One class flipped* tells one class as another.
"""


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """One attack in one world, and the same world with nobody hostile."""

    data: str
    partition: str
    attack: str
    share: float
    strategies: Mapping[str, Group]
    clean: Mapping[str, Group]

    @property
    def name(self) -> str:
        """The attack in words."""
        bare = self.attack if self.attack in ATTACKS else self.attack.removesuffix("+liar")
        return ATTACKS.get(bare, bare)

    @property
    def world(self) -> str:
        """The world in words."""
        return where(self.data, self.partition)

    def left(self, strategy: str) -> dict[int, float]:
        """What is left of a strategy's own clean rise, by seed."""
        before = self.clean[strategy].by_seed("final")
        nothing = self.clean[strategy].by_seed("nothing")
        found = {}
        for seed, final in self.strategies[strategy].by_seed("final").items():
            rise = before.get(seed, math.nan) - nothing.get(seed, math.nan)
            found[seed] = max(0.0, final - nothing[seed]) / rise if rise > LEAST else math.nan
        return found

    def final(self, strategy: str) -> float:
        """Median final accuracy."""
        return self.strategies[strategy].median("final").median

    @property
    def best_rival(self) -> str | None:
        """Who ends highest beside the relay."""
        others = [name for name in self.strategies if name != "relay"]
        return max(others, key=self.final, default=None)

    @property
    def lost_by(self) -> float:
        """How far the relay's median final accuracy is below the best rival's."""
        rival = self.best_rival
        return self.final(rival) - self.final("relay") if rival else math.nan


def attacked_in(results: Sequence[Stored]) -> list[Attacked]:
    """Every attack that was played, in the order of the results."""
    found: dict[tuple[str, str, str, float], Attacked] = {}
    for stored in results:
        for row in stored.rows:
            key = (row["data"], row["partition"], row["attack"], row["share"])
            if row["attack"] and key not in found:
                place = {"data": key[0], "partition": key[1]}
                found[key] = Attacked(
                    **place,
                    attack=key[2],
                    share=key[3],
                    strategies=groups(stored, **place, attack=key[2], share=key[3]),
                    clean=groups(stored, **place, attack=""),
                )
    return [each for each in found.values() if "relay" in each.strategies]


def page(results: Sequence[Stored], relay_only: Sequence[Stored]) -> str:
    """The whole page."""
    found = attacked_in(results)
    own = attacked_in([stored for stored in relay_only if stored.name != "attacks-lanes"])
    several = attacked_in([stored for stored in relay_only if stored.name == "attacks-lanes"])
    worlds = list(dict.fromkeys((each.share, each.world) for each in found))
    parts = [
        INTRODUCTION,
        _losses(found, own),
        _summary(found),
        COLUMNS,
        *(_world(share, world, found) for share, world in worlds),
        *([_own(own)] if own else []),
        *([lanes.section(several)] if several else []),
        _sources([*results, *relay_only]),
    ]
    return "\n".join(parts)


def _losses(found: Sequence[Attacked], own: Sequence[Attacked]) -> str:
    every = [*found, *own]
    lines = [*_lost(found), *_little_left(every), *_well_paid(every)]
    if not found:
        lines = ["- No results are stored yet."]
    return (
        "## Where the relay loses\n\n"
        "Listed are attacks under which another rule ends higher, under which less is left than "
        "the goal, or which pay more than a quarter of an honest share. The goal is 0.95 in the "
        "median and 0.85 in the worst seed with a fifth hostile. With two fifths it is 0.85 in the "
        "median.\n\n" + ("\n".join(lines) or "- Nowhere on this page.") + "\n"
    )


def _lost(found: Sequence[Attacked]) -> Iterator[str]:
    for each in sorted(found, key=lambda each: -each.lost_by):
        if each.lost_by > CLOSE and each.best_rival:
            yield (
                f"- **{each.world}, {each.share:.0%}, {each.name}**: {each.final('relay'):.3f}, "
                f"and {NAMES[each.best_rival]} has {each.final(each.best_rival):.3f}."
            )


def _little_left(found: Sequence[Attacked]) -> Iterator[str]:
    """Where less is left of the relay's own rise than the goal, whoever does better or worse."""
    for each in found:
        middle, worst = median(each.left("relay")).median, _worst(each, "relay")
        least, least_worst = GOALS.get(each.share, (0.0, 0.0))
        if middle < least or worst < least_worst:
            yield (
                f"- **{each.world}, {each.share:.0%}, {each.name}**: {middle:.2f} of the rise is "
                f"left, and {worst:.2f} in the worst seed."
            )


def _well_paid(found: Sequence[Attacked]) -> Iterator[str]:
    """Where attacking pays more than a quarter of what as many honest participants get."""
    for each in found:
        paid = each.strategies["relay"].median("hostile_pay").median
        if paid > MOST_PAID:
            yield (
                f"- **{each.world}, {each.share:.0%}, {each.name}**: the hostile are paid "
                f"{paid:.2f} of their share of the heads."
            )


def _worst(each: Attacked, strategy: str) -> float:
    return min((v for v in each.left(strategy).values() if math.isfinite(v)), default=math.nan)


def _summary(found: Sequence[Attacked]) -> str:
    """In how many attacks of each world and share the relay is ahead, behind or level."""
    rows = []
    for share, world in dict.fromkeys((each.share, each.world) for each in found):
        here = [each for each in found if (each.share, each.world) == (share, world)]
        behind = sum(each.lost_by > CLOSE for each in here)
        ahead = sum(each.lost_by < -CLOSE for each in here)
        left = [median(each.left("relay")).median for each in here]
        rows.append(
            [world, f"{share:.0%}", str(ahead), str(len(here) - ahead - behind), str(behind),
             shown(min(left), ".2f"), shown(min(_worst(each, "relay") for each in here), ".2f")]
        )  # fmt: skip
    head = ["world", "hostile", "ahead", "level", "behind", "least left", "least in a seed"]
    return (
        "## In short\n\n"
        "In how many attacks the relay ends ahead of the best of the other four, level with it "
        "within half a point, or behind it. *Least left* is its median in the attack that harms it "
        f"most; the last column is its worst seed of all.\n\n{table(head, rows)}\n"
    )


def _world(share: float, world: str, found: Sequence[Attacked]) -> str:
    here = [each for each in found if (each.share, each.world) == (share, world)]
    names = [name for name in STRATEGIES if any(name in each.strategies for each in here)]
    head = ["what is left", *(NAMES[name] for name in names), "rewards, relay"]
    left = [[each.name, *(_left(each, name) for name in names), _paid(each)] for each in here]
    ends = [[each.name, *(_final(each, name) for name in names)] for each in here]
    clean = ["nobody hostile", *(_clean_final(here[0], name) for name in names)]
    note = f"{seeds_said(group for each in here for group in each.strategies.values())}."
    return (
        f"## {world}, {share:.0%} hostile\n\n{note[0].upper()}{note[1:]}\n\n{table(head, left)}\n\n"
        f"{table(['final accuracy', *(NAMES[name] for name in names)], [clean, *ends])}\n"
    )


def _left(each: Attacked, strategy: str) -> str:
    if strategy not in each.strategies or strategy not in each.clean:
        return "–"
    middle = median(each.left(strategy)).median
    return f"{shown(middle, '.2f')} ({shown(_worst(each, strategy), '.2f')})"


def _final(each: Attacked, strategy: str) -> str:
    if strategy not in each.strategies:
        return "–"
    text = shown(each.final(strategy), ".3f")
    best = max(each.strategies, key=each.final)
    return f"**{text}**" if strategy == best else text


def _clean_final(each: Attacked, strategy: str) -> str:
    group = each.clean.get(strategy)
    return shown(group.median("final").median, ".3f") if group else "–"


def _paid(each: Attacked) -> str:
    return shown(each.strategies["relay"].median("hostile_pay").median, ".2f")


def _own(own: Sequence[Attacked]) -> str:
    rows = [
        [each.world, f"{each.share:.0%}", each.name, _left(each, "relay"), _paid(each)]
        for each in own
    ]
    note = seeds_said(each.strategies["relay"] for each in own)
    return (
        "## Attacks that only a relay has\n\n"
        f"{note[0].upper()}{note[1:]}.\n\n"
        f"{table(['world', 'hostile', 'attack', 'what is left', 'rewards'], rows)}\n"
    )


def _sources(results: Sequence[Stored]) -> str:
    return (
        "## How it was played\n\n"
        "These commands play it again, and go on where they stopped. Settings are those of "
        "`clean`, which has to be played first.\n\n"
        f"{commands_of(results)}\n\n{played_by(results)}\n"
    )

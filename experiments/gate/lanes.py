"""What many lanes of one hop are worth: hop-times to a target, and where they end.

    python -m experiments.gate.lanes --worlds "digits d0.3" --seeds 4       # some minutes
    python -m experiments.gate.lanes --worlds spambase --target 0.9 --ways "one lane" auto

The relay of `experiments.gate.gate` with lanes that meet by the library's own rules. All devices
are there at once, and a hop-time is one training: a round of one-hop lanes takes one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.gate.gate import VARIANTS, Relay
from experiments.gate.worlds import NODES, WORLDS, Weights, World
from flower_relay.rules.averaging import evened
from flower_relay.rules.lanes import is_calm, lanes_now
from flower_relay.rules.optimisers import step
from flower_relay.rules.votes import draw_committee


@dataclass(frozen=True, kw_only=True)
class Way:
    """A number of lanes (0: by what is rejected), how they meet, and hop-times to play.

    `late` are the rounds by which verdicts come later than at once, where a round goes ahead;
    `always` is without the rule for that.
    """

    lanes: int
    optimiser: str = "adam"
    evened: bool = True
    hop_times: int = 60
    examiners: int = 15
    late: int = 0
    always: bool = False


WAYS = {
    "one lane": Way(lanes=1, hop_times=200),
    "three": Way(lanes=3, hop_times=90),
    "ten": Way(lanes=10),
    "ten, steps as long as they are": Way(lanes=10, evened=False),
    "ten, momentum": Way(lanes=10, optimiser="momentum"),
    "auto": Way(lanes=0),
    "auto, seven examine": Way(lanes=0, examiners=7),
    "wave": Way(lanes=0, late=1),
    "wave, seven examine": Way(lanes=0, late=1, examiners=7),
    "wave, always ahead": Way(lanes=0, late=1, always=True),
    "five, two late": Way(lanes=5, late=2, always=True),
}


_MORE = (
    World("digits", "dirichlet:0.3", "sign-flip", 0.2, 0.4),
    World("spambase", "dirichlet:0.3", "sign-flip", 0.4, 0.1),
    World("letter", "dirichlet:0.3", "", 0.0, 0.4),
    World("letter", "dirichlet:0.3", "sign-flip", 0.2, 0.4),
    World("letter", "dirichlet:0.3", "sign-flip", 0.4, 0.4),
)


@dataclass(frozen=True)
class Flown:
    """A round that nobody has judged yet: what it was trained on, by whom, to what."""

    base: Weights
    who: NDArray[Any]
    ends: list[Weights]


@dataclass
class Lanes(Relay):
    """A relay of many lanes while it runs."""

    way: Way = WAYS["auto"]
    verdicts: list[bool] = field(default_factory=list)
    moments: tuple[Any, ...] = ()
    meetings: int = 0
    open: list[Flown] = field(default_factory=list)

    def many(self, base: Weights, lanes: int) -> tuple[list[Weights], int]:
        """What a round of one-hop lanes steps to, if it moves, and how many hops it had."""
        self.leg = lanes
        who = self.next_leg(lanes)
        self.had_turn[who] = True
        flown = Flown(base, who, [self._end(base, i) for i in who])
        return self._settle(base, flown), len(who)

    def wave(self, settled: Weights, lanes: int) -> tuple[list[Weights], int]:
        """The same with verdicts that come late: what is trained on is expected, not settled."""
        expected, moments = settled, self.moments
        for number, flown in enumerate(self.open, start=1):
            met = self._stepped(expected, flown, [True] * len(flown.who), moments, number)
            expected, moments = met[0], met[1]
        who = self._next_wave(lanes)
        self.had_turn[who] = True
        self.open.append(Flown(expected, who, [self._end(expected, i) for i in who]))
        if len(self.open) <= self.way.late:
            return [], len(who)
        return self._settle(settled, self.open.pop(0)), len(who)

    def _next_wave(self, lanes: int) -> NDArray[Any]:
        """Who trains next: nobody whose last hop was not judged yet."""
        flying = [i for flown in self.open for i in flown.who]
        free = np.setdiff1d(np.arange(NODES), flying)
        return np.asarray(self.rng.permutation(self.may_train(free))[:lanes])

    def _settle(self, settled: Weights, flown: Flown) -> list[Weights]:
        passed = self._passed(flown.base, flown.who, flown.ends)
        self.verdicts, self.leg = [*self.verdicts, *passed], 1
        if not any(passed):
            return []
        model, self.moments = self._stepped(settled, flown, passed, self.moments, 1)
        self.meetings += 1
        return [model]

    def _stepped(
        self, settled: Weights, flown: Flown, passed: list[bool], moments: Any, ahead: int
    ) -> tuple[Weights, Any]:
        """A model and its moments after a round's hops, whose steps begin where it stands."""
        shift = settled - flown.base
        kept = [{"w": end + shift} for end, good in zip(flown.ends, passed, strict=True) if good]
        models = evened({"w": settled}, kept) if self.way.evened else kept
        mean = {"w": np.mean([each["w"] for each in models], axis=0, dtype=np.float32)}
        number = self.meetings + ahead
        met = step(self.way.optimiser, {"w": settled}, mean, moments, number)
        return met[0]["w"], met[1]

    def _end(self, base: Weights, who: int) -> Weights:
        made, stride = self.hop(base, who), np.float32(self.judge.stride(who))
        made = made if np.isfinite(made).all() else base
        return (base + stride * (made - base)).astype(np.float32)

    def _passed(self, base: Weights, who: NDArray[Any], ends: list[Weights]) -> list[bool]:
        """Which hops pass, each judged by itself, by one committee."""
        # Who trains now has no time; else who trained does not examine.
        busy = self.open[-1].who if self.open else who
        free = np.setdiff1d(np.arange(NODES), busy)
        drawn = self.drawn(free)
        if self.plants():
            self.plant(base, drawn)
        return self.verdicts_on(base, who.tolist(), ends, drawn)

    def drawn(self, free: NDArray[Any]) -> NDArray[Any]:
        """A committee of those who are free."""
        size = min(self.way.examiners, self.judge.seats)
        return draw_committee(free, size, self.draw)

    def verdicts_on(
        self, base: Weights, who: list[int], ends: list[Weights], drawn: NDArray[Any]
    ) -> list[bool]:
        """Which hops from a base pass, each booked; nobody judges a hop of its own."""
        said, passed = self.utilities(base, base), []
        for i, end in zip(who, ends, strict=True):
            committee = drawn[drawn != i]
            rows = np.array([said, self.utilities(end, base)])[:, committee]
            passed.append(bool(self.judge.judge([i], rows, committee).passed))
            self.wait(i, 0.0 if passed[-1] else float(self.judge.debt[i]))
        return passed

    def _round(self, baton: Weights, lanes: int) -> tuple[list[Weights], int]:
        if lanes > 1 and self._ahead():
            return self.wave(baton, lanes)
        if self.open:  # what is on its way is judged before the next round begins
            return self._settle(baton, self.open.pop(0)), 0
        return self.many(baton, lanes) if lanes > 1 else self.round(baton, 10**9)

    def _ahead(self) -> bool:
        return bool(self.way.late) and (self.way.always or is_calm(self.verdicts))

    def curve(self) -> NDArray[np.float64]:
        """(hop-times, hops, score of the trail) after each round."""
        baton, times, hops, found = self.trail, 0, 0, []
        while times < self.way.hop_times:
            lanes = self.way.lanes or lanes_now(NODES, self.verdicts)
            kept, used = self._round(baton, lanes)
            if lanes == 1 and used:
                self.verdicts += [True] * len(kept) + [False] * (len(kept) < used)
            for model in kept:
                self.keep(model)
                baton = model
            times, hops = times + (bool(used) if lanes > 1 else used), hops + used
            score = self.network.score(self.trail, self.cases.x_test, self.cases.y_test)
            found.append((times, hops, score))
        return np.array(found)


def summary(
    curves: Iterable[NDArray[np.float64]], target: float
) -> tuple[float, float, float, float]:
    """Medians over seeds of time and hops to the target, and of the end; and the worst end.

    A curve has rows of time, hops and score. The end is the mean of the last seventh or so.
    """
    reached, ends = [], []
    for curve in curves:
        hit = np.flatnonzero(curve[:, 2] >= target)
        reached.append(curve[hit[0], :2] if len(hit) else (np.inf, np.inf))
        ends.append(float(curve[int(0.85 * len(curve)) :, 2].mean()))
    time, hops = np.median(reached, axis=0).tolist()
    return time, hops, float(np.median(ends)), min(ends)


def row(world: World, way: str, seeds: int, target: float) -> str:
    """A world and a way: hop-times and hops to the target, the end, and the worst end."""
    with np.errstate(all="ignore"):
        curves = [
            Lanes(VARIANTS["shipped"], world, seed, way=WAYS[way]).curve()
            for seed in range(1000, 1000 + seeds)
        ]
    times, hops, end, worst = summary(curves, target)
    return f"{world.name:<28} {way:<31} {times:>10.0f} {hops:>8.0f} {end:>8.3f} {worst:>8.3f}"


def main() -> None:
    """Print a row a world and a way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", default="", help="only worlds whose name has this in it")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--target", type=float, default=0.95, help="score to reach")
    options = parser.parse_args()
    print(f"{'':<60} {'hop-times':>10} {'hops':>8} {'end':>8} {'worst':>8}")
    for world in (*WORLDS, *_MORE):
        for way in options.ways if options.worlds in world.name else ():
            print(row(world, way, options.seeds, options.target), flush=True)


if __name__ == "__main__":
    main()

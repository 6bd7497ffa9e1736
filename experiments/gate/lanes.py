"""What many lanes of one hop are worth: hop-times to a target, and where they end.

    python -m experiments.gate.lanes                          # digits, 4 seeds: some minutes
    python -m experiments.gate.lanes --data spambase --world "sign-flip 20%" --ways auto

The relay of `experiments.gate.gate` with lanes that meet by the library's own rules. All devices
are there at once, and a hop-time is one training: a round of one-hop lanes takes one.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.gate.gate import VARIANTS, Relay
from experiments.gate.judges import InTolerances
from experiments.gate.worlds import NODES, Weights, World
from flower_relay.rules.averaging import evened
from flower_relay.rules.lanes import lanes_now
from flower_relay.rules.optimisers import step
from flower_relay.rules.votes import draw_committee

TARGETS = {"digits": 0.95, "letter": 0.75, "spambase": 0.90}
RATES = {"digits": 0.3, "letter": 0.3, "spambase": 0.1}
WORLDS = {
    "clean 0.3": ("dirichlet:0.3", "", 0.0),
    "clean 0.1": ("dirichlet:0.1", "", 0.0),
    "label-flip 20%": ("dirichlet:0.3", "label-flip", 0.2),
    "sign-flip 20%": ("dirichlet:0.3", "sign-flip", 0.2),
    "label-flip 40%": ("dirichlet:0.3", "label-flip", 0.4),
    "sign-flip 40%": ("dirichlet:0.3", "sign-flip", 0.4),
}
_MOST_CASES = 300, 80
"""Cases to train on and to examine by that a participant has at most: letter has many."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A number of lanes (0: by what is rejected), how they meet, and hop-times to play."""

    lanes: int
    optimiser: str = "adam"
    evened: bool = True
    hop_times: int = 60


WAYS = {
    "one lane": Way(lanes=1, hop_times=200),
    "three": Way(lanes=3, hop_times=90),
    "ten": Way(lanes=10),
    "ten, steps as long as they are": Way(lanes=10, evened=False),
    "ten, momentum": Way(lanes=10, optimiser="momentum"),
    "auto": Way(lanes=0),
}


@dataclass
class Lanes(Relay):
    """A relay of many lanes while it runs."""

    way: Way = WAYS["auto"]
    most: tuple[int | None, int | None] = _MOST_CASES
    verdicts: list[bool] = field(default_factory=list)
    moments: tuple[Any, ...] = ()
    meetings: int = 0

    def lanes_of_next_round(self) -> int:
        """How many lanes there are now."""
        return self.way.lanes or lanes_now(NODES, self.verdicts)

    def many(self, base: Weights, lanes: int) -> tuple[Weights, int]:
        """The model after a round of one-hop lanes, and how many hops it had."""
        self.leg = min(lanes, NODES // 2)
        who = self.next_leg(lanes)
        self.had_turn[who] = True
        ends = [self._end(base, i) for i in who]
        kept = [
            end for end, passed in zip(ends, self._judged(base, who, ends), strict=True) if passed
        ]
        if not kept:
            return base, len(who)
        self.meetings += 1
        models = [{"w": end} for end in kept]
        models = [dict(each) for each in evened({"w": base}, models)] if self.way.evened else models
        mean = {"w": np.mean([each["w"] for each in models], axis=0, dtype=np.float32)}
        args = self.way.optimiser, {"w": base}, mean, self.moments, self.meetings
        model, self.moments = step(*args)
        return model["w"], len(who)

    def _end(self, base: Weights, who: int) -> Weights:
        made, stride = self.hop(base, who), np.float32(self.judge.stride(who))
        return (base + stride * (made - base)).astype(np.float32)

    def _judged(self, base: Weights, who: NDArray[Any], ends: list[Weights]) -> list[bool]:
        """Which hops pass, each booked on debts and bonds."""
        committee = draw_committee(np.setdiff1d(np.arange(NODES), who), 15, self.draw)
        before = self.utilities(base)[committee]
        pairs = [np.array([before, self.utilities(end)[committee]]) for end in ends]
        assert isinstance(self.judge, InTolerances)
        passed = self.judge.judge_apart(who.tolist(), pairs, committee)
        self.verdicts += passed
        return passed

    def curve(self) -> NDArray[np.float64]:
        """(hop-times, hops, accuracy of the trail) after each round."""
        baton = trail = self.network.first(self.cases.shape, self.seed)
        keep, times, hops, batons, found = self.gate.trail, 0, 0, 0, []
        while times < self.way.hop_times:
            lanes = self.lanes_of_next_round()
            if lanes > 1:
                end, used = self.many(baton, lanes)
                kept = [] if end is baton else [end]
            else:
                self.leg = min(self.leg, 4)
                kept, used = self.round(baton, 10**9)
                self.verdicts += [True] * len(kept) + [False] * (len(kept) < used)
            for model in kept:
                fresh = (1 - keep) / (1 - keep ** (batons + 1))
                trail = ((1 - fresh) * trail + fresh * model).astype(np.float32)
                baton, batons = model, batons + 1
            times, hops = times + (1 if lanes > 1 else used), hops + used
            score = self.network.score(trail, self.cases.x_test, self.cases.y_test)
            found.append((times, hops, score))
        return np.array(found)


def row(data: str, world: str, way: str, seeds: int) -> str:
    """Medians over seeds: hop-times and hops to the target, the end, and the worst end."""
    scheme, attack, share = WORLDS[world]
    rate = RATES[data] * (2 / 3 if WAYS[way].lanes == 1 else 1)
    reached, ends = [], []
    for seed in range(1000, 1000 + seeds):
        played = World(data, scheme, attack, share, rate)
        relay = Lanes(VARIANTS["shipped"], played, seed, way=WAYS[way])
        with np.errstate(all="ignore"):
            curve = relay.curve()
        hit = np.flatnonzero(curve[:, 2] >= TARGETS[data])
        reached.append(curve[hit[0], :2] if len(hit) else (np.inf, np.inf))
        ends.append(curve[int(0.85 * len(curve)) :, 2].mean())
    times, hops = np.median(reached, axis=0)
    numbers = f"{times:>10.0f} {hops:>8.0f} {np.median(ends):>8.3f} {min(ends):>8.3f}"
    return f"{data:<9} {world:<15} {way:<31} {numbers}"


def main() -> None:
    """Print a row a world and a way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", choices=TARGETS)
    parser.add_argument("--world", nargs="*", default=list(WORLDS), choices=WORLDS)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS)
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    print(f"{'':<57} {'hop-times':>10} {'hops':>8} {'end':>8} {'worst':>8}")
    for world in options.world:
        for way in options.ways:
            print(row(options.data, world, way, options.seeds), flush=True)


if __name__ == "__main__":
    main()

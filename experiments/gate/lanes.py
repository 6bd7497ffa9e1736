"""What many lanes of one hop are worth: hop-times to a target, and where they end.

    python -m experiments.gate.lanes --worlds "digits d0.3" --seeds 4       # some minutes
    python -m experiments.gate.lanes --worlds spambase --target 0.9 --ways "one lane" auto

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
from experiments.gate.worlds import NODES, WORLDS, Weights, World
from flower_relay.rules.averaging import evened
from flower_relay.rules.lanes import lanes_now
from flower_relay.rules.optimisers import step
from flower_relay.rules.standing import waiting_cycles
from flower_relay.rules.votes import draw_committee


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
    verdicts: list[bool] = field(default_factory=list)
    moments: tuple[Any, ...] = ()
    meetings: int = 0

    def many(self, base: Weights, lanes: int) -> tuple[list[Weights], int]:
        """What a round of one-hop lanes steps to, if it moves, and how many hops it had."""
        self.leg = lanes
        who = self.next_leg(lanes)
        self.had_turn[who] = True
        ends = [self._end(base, i) for i in who]
        passed = self._passed(base, who, ends)
        kept = [{"w": end} for end, good in zip(ends, passed, strict=True) if good]
        self.verdicts, self.leg = [*self.verdicts, *passed], 1
        if not kept:
            return [], len(who)
        self.meetings += 1
        models = evened({"w": base}, kept) if self.way.evened else kept
        mean = {"w": np.mean([each["w"] for each in models], axis=0, dtype=np.float32)}
        met = step(self.way.optimiser, {"w": base}, mean, self.moments, self.meetings)
        self.moments = met[1]
        return [met[0]["w"]], len(who)

    def _end(self, base: Weights, who: int) -> Weights:
        made, stride = self.hop(base, who), np.float32(self.judge.stride(who))
        made = made if np.isfinite(made).all() else base
        return (base + stride * (made - base)).astype(np.float32)

    def _passed(self, base: Weights, who: NDArray[Any], ends: list[Weights]) -> list[bool]:
        """Which hops pass, each judged by itself, by one committee."""
        committee = draw_committee(np.setdiff1d(np.arange(NODES), who), 15, self.draw)
        before, passed = self.utilities(base)[committee], []
        for i, end in zip(who.tolist(), ends, strict=True):
            rows = np.array([before, self.utilities(end)[committee]])
            passed.append(bool(self.judge.judge([i], rows, committee).passed))
            wait = 0 if passed[-1] else waiting_cycles(self.judge.debt[i])
            self.waits[i] = self.cycle + 1 + wait
        return passed

    def curve(self) -> NDArray[np.float64]:
        """(hop-times, hops, score of the trail) after each round."""
        baton = trail = self.network.first(self.cases.shape, self.seed)
        keep, times, hops, batons, found = self.gate.trail, 0, 0, 0, []
        while times < self.way.hop_times:
            lanes = self.way.lanes or lanes_now(NODES, self.verdicts)
            kept, used = self.many(baton, lanes) if lanes > 1 else self.round(baton, 10**9)
            if lanes == 1:
                self.verdicts += [True] * len(kept) + [False] * (len(kept) < used)
            for model in kept:
                fresh = (1 - keep) / (1 - keep ** (batons + 1))
                trail = ((1 - fresh) * trail + fresh * model).astype(np.float32)
                baton, batons = model, batons + 1
            times, hops = times + (1 if lanes > 1 else used), hops + used
            score = self.network.score(trail, self.cases.x_test, self.cases.y_test)
            found.append((times, hops, score))
        return np.array(found)


def row(world: World, way: str, seeds: int, target: float) -> str:
    """Medians over seeds: hop-times and hops to the target, the end, and the worst end."""
    reached, ends = [], []
    for seed in range(1000, 1000 + seeds):
        with np.errstate(all="ignore"):
            curve = Lanes(VARIANTS["shipped"], world, seed, way=WAYS[way]).curve()
        hit = np.flatnonzero(curve[:, 2] >= target)
        reached.append(curve[hit[0], :2] if len(hit) else (np.inf, np.inf))
        ends.append(curve[int(0.85 * len(curve)) :, 2].mean())
    times, hops = np.median(reached, axis=0)
    numbers = f"{times:>10.0f} {hops:>8.0f} {np.median(ends):>8.3f} {min(ends):>8.3f}"
    return f"{world.name:<28} {way:<31} {numbers}"


def main() -> None:
    """Print a row a world and a way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", default="", help="only worlds whose name has this in it")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--target", type=float, default=0.95, help="score to reach")
    options = parser.parse_args()
    print(f"{'':<60} {'hop-times':>10} {'hops':>8} {'end':>8} {'worst':>8}")
    for world in WORLDS:
        for way in options.ways if options.worlds in world.name else ():
            print(row(world, way, options.seeds, options.target), flush=True)


if __name__ == "__main__":
    main()

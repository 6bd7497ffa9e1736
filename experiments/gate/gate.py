"""What the gate's parts are worth: a relay in plain numpy, fast enough to try many.

    python -m experiments.gate.gate                  # all variants, all worlds, 6 seeds: hours
    python -m experiments.gate.gate shipped "no debt" --worlds spambase --seeds 3

One lane, legs of up to four, a network of 64 hidden units on 20 participants, 400 hops. The
rules are the library's own, the training is numpy's, and nothing is sent, signed or paid.
It ranks variants; what the shipped relay does is measured by `flower-relay compare`.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from multiprocessing import Pool
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from clients.hostile import is_hostile
from flower_relay import __version__
from flower_relay.rules.audits import AUDITED_PART
from flower_relay.rules.averaging import fresh_part
from flower_relay.rules.candidates import MOVES_KEPT, farthest
from flower_relay.rules.planted import plants_with, seen_in_noise
from flower_relay.rules.standing import waiting_cycles
from flower_relay.rules.votes import draw_committee

from .attacks import COLLUDING, against, colluding, creeping, turned
from .judges import Gate, Judge, middle
from .worlds import NODES, WORLDS, Weights, World, cases_of

HOPS = 400

VARIANTS = {
    "shipped": Gate(),
    "untested": Gate(gate=False, strides=False),
    "bounded loss": Gate(power=0.0),
    "square root of p": Gate(power=0.5),
    "p itself": Gate(power=1.0),
    "no debt": Gate(allowance=1.0, lenient=True),
    "debts by votes alone": Gate(audits=False),
    "debts by audits alone": Gate(votes=False),
    "every hop audited": Gate(audit=1.0),
    "a quarter audited": Gate(audit=0.25),
    "audits as always": Gate(wary=False),
    "forgiven as always": Gate(lenient=True),
    "allowance 0.2": Gate(allowance=0.2),
    "allowance 0.5": Gate(allowance=0.5),
    "medians ranked": Gate(score=middle),
    "among thirty": Gate(recent=30),
    "nothing usual": Gate(usual=False),
    "no bonds": Gate(bonds=0.0),
    "tolerance like the stride": Gate(allows="stride"),
    "usual like the square": Gate(allows="square"),
    "first hops whole": Gate(first_debt=0.0),
    "nothing expected": Gate(expected=(0.0,) * 3),
    "medians decide": Gate(says="median"),
    "means decide": Gate(says="mean"),
    "votes cut alike": Gate(says="whole"),
    "the larger debt counts": Gate(added=False),
    "strides by whole debts": Gate(evenly=False),
    "planted evenly": Gate(early=False),
    "planted on the base": Gate(anchored=False),
    "weak noise": Gate(noise=3.0),
    "the worse vote": Gate(worse=True),
    "harm pays as much": Gate(regained=1.0),
    "nothing planted": Gate(planted=0.0),
    "a twentieth planted": Gate(planted=0.05),
    "half planted": Gate(planted=0.5),
    "all seats always": Gate(few=False),
    "debts wait": Gate(strides=False, waits="always"),
    "whole legs": Gate(whole_legs=True),
    "tolerance 0.08": Gate(tolerance=0.08),
    "tolerance 0.14": Gate(tolerance=0.14),
    "a trail of 0.05": Gate(trail=0.05),
    "a trail of 0.2": Gate(trail=0.2),
    "first debts never waived": Gate(waived=False),
    "the same order": Gate(shuffled=False),
    "weights by correlation": Gate(correlated=True),
}


@dataclass
class Relay:
    """One relay while it runs."""

    gate: Gate
    world: World
    seed: int
    most: tuple[int | None, int | None] = (None, None)
    waits: NDArray[Any] = field(default_factory=lambda: np.zeros(NODES, dtype=int))
    had_turn: NDArray[Any] = field(default_factory=lambda: np.zeros(NODES, dtype=bool))
    newest: NDArray[Any] = field(default_factory=lambda: np.zeros(NODES, dtype=int))
    cycle: int = 0
    legs: int = 0
    leg: int = 1
    kept: int = 0
    handed_in: int = 0
    ways: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        world, seed = self.world, self.seed
        self.cases = cases_of(world.data, world.scheme, seed, self.most)
        self.network = self.cases.network
        self.rng = np.random.default_rng([seed, 1])
        self.draw = np.random.default_rng([seed, 2])
        self.first = self.trail = self.network.first(self.cases.shape, seed)
        self.hostile = np.array(
            [world.share > 0 and is_hostile(i, NODES, world.share, seed) for i in range(NODES)]
        )

        start = float(np.median(self.utilities(self.first, self.first)))
        self.judge = Judge(self.gate, start)

    def utility_of_cases(self, weights: Weights, rows: Any = slice(None)) -> NDArray[Any]:
        """The utility of each case that is kept for examining."""
        losses = self.network.losses(weights, self.cases.x[rows], self.cases.y[rows])
        if self.gate.power == 0:
            bound = 2 * np.log(self.network.classes) if self.network.classes > 1 else 2.0
            return np.asarray(1 - np.minimum(losses, bound) / bound)
        power = self.gate.power if self.network.classes > 1 else 1.0
        return np.asarray(np.exp(-np.minimum(losses, 300) * power))

    def utilities(self, weights: Weights, base: Weights) -> NDArray[Any]:
        """What each participant says of a model that is compared with a base; hostile ones lie."""
        found = self.found(weights)
        if self.world.liars == "harsh":
            lies = found if weights is base else np.zeros(NODES)
        else:
            lies = 0.5 * np.ones(NODES) if self.world.liars == "constant" else 1 - found
        return np.where(self.hostile, lies, found)

    def found(self, weights: Weights) -> NDArray[Any]:
        """What a model is worth to each participant."""
        owner = self.cases.owner
        counted = np.bincount(owner, self.utility_of_cases(weights), NODES)
        return np.asarray(counted / np.bincount(owner))

    def honest_hop(self, base: Weights, who: int, *, flipped: bool = False) -> Weights:
        """What training gives, on labels as they are or turned round."""
        x, y = self.cases.parts[who]
        labels = turned(y, self.network.classes) if flipped else y
        return self.network.trained(base, x, labels, self.world.lr, self.rng)

    def hop(self, base: Weights, who: int) -> Weights:
        """What a participant hands in."""
        attack = self.world.attack if self.hostile[who] else ""
        if attack in COLLUDING:
            crew = np.flatnonzero(self.hostile)
            updates = np.stack([self.honest_hop(base, i) - base for i in crew])
            return colluding(attack, base, updates)
        honest = self.honest_hop(base, who, flipped=attack == "label-flip")
        if attack != "creeping":
            return against(attack, base, honest, self.rng)
        mine = self.cases.owner == who

        def utility_of(weights: Weights) -> float:
            return float(self.utility_of_cases(weights, mine).mean())

        return creeping(base, honest, utility_of, self.gate.tolerance)

    def may_train(self, free: NDArray[Any]) -> NDArray[Any]:
        """Who of those who are free has a turn; where nobody has, a new cycle begins."""
        while not (may := free[~self.had_turn[free] & (self.waits[free] <= self.cycle)]).size:
            self.cycle, self.had_turn = self.cycle + 1, np.zeros(NODES, dtype=bool)
            self.judge.cycle = self.cycle
        return may

    def next_leg(self, left: int) -> NDArray[Any]:
        """Who trains next, in order."""
        queue = self.rng.permutation(self.may_train(np.arange(NODES)))
        if not self.gate.shuffled:
            queue = queue[np.argsort(self.newest[queue], kind="stable")]
        self.legs += 1
        who = queue[: min(self.leg, left, NODES // 2)]
        self.newest[who] = self.legs
        return np.asarray(who)

    def round(self, baton: Weights, left: int) -> tuple[list[Weights], int]:
        """The kept models of a leg, and how many hops it had."""
        turns = self.next_leg(left)
        models, who = [baton], []
        for i in turns:
            base, made = models[-1], self.hop(models[-1], i)
            made = made if np.isfinite(made).all() else base
            way = float(np.linalg.norm(made.astype("f8") - base))
            most, self.ways = farthest(self.ways), [*self.ways, way][-MOVES_KEPT:]
            if self.gate.gate and way > most:
                self.wait(i, self.judge.fault(i))
                continue
            models.append((base + np.float32(self.judge.stride(i)) * (made - base)).astype("f4"))
            who.append(i)
        self.had_turn[turns] = True
        if not self.gate.gate:
            self.leg = min(4, self.leg + 1)
            return models[1:], len(turns)
        kept = self.judged(np.array(who), models) if who else 0
        return models[1 : 1 + kept], len(turns)

    def wait(self, who: int, debt: float) -> None:
        """Have a participant wait for the next cycle, and longer by what a rejected hop owes."""
        self.waits[who] = self.cycle + 1 + waiting_cycles(debt)

    def judged(self, who: NDArray[Any], models: list[Weights]) -> int:
        """Have a leg judged, and who is blamed wait; how many hops are kept."""
        free = np.setdiff1d(np.arange(NODES), who)
        committee = draw_committee(free, self.judge.seats, self.draw)
        rows = np.array([self.utilities(model, models[0])[committee] for model in models])
        audits = [self.audit(*pair, committee) for pair in pairwise(models)]
        found = self.judge.judge(who.tolist(), rows, committee, audits)
        if self.plants():
            self.plant(models[0], committee)
        self.leg = min(4, self.leg + 1) if found.passed else max(1, self.leg // 2)
        for place in (*found.culprits, *range(found.kept)):
            if self.gate.waits == "always" or place >= found.kept:
                self.wait(who[place], float(self.judge.debt[who[place]]))
        voided = set(range(found.kept, len(who))) - set(found.culprits)
        self.had_turn[who[sorted(voided)]] = False
        return found.kept

    def audit(self, base: Weights, model: Weights, committee: NDArray[Any]) -> NDArray[Any] | None:
        """What a part of a hop adds to the trail, by the committee; None: it is not audited."""
        self.handed_in += 1
        every = self.handed_in <= NODES or (self.gate.wary and self.judge.cautious)
        if not every and self.draw.random() >= self.gate.audit:
            return None
        probe = self.trail + np.float32(AUDITED_PART) * (model - base)
        seen = self.utilities(probe, self.trail) - self.utilities(self.trail, self.trail)
        return np.asarray(seen[committee])

    def plant(self, base: Weights, committee: NDArray[Any]) -> None:
        """Show the committee a model that is drowned in noise, and in the opposite noise."""
        gate, plain = self.gate, self.first if self.gate.anchored else base
        says = self.found if self.world.liars == "sly" else partial(self.utilities, base=base)
        spread = gate.noise * max(plain.std(), base.std())
        noise = self.draw.normal(0, spread, plain.shape).astype(np.float32)
        both = [says(plain + sign * noise) for sign in (1, -1)]
        noised = [np.min(both, axis=0)] if gate.worse else both
        votes = seen_in_noise(noised, says(plain), says(base), gate.tolerance)
        self.judge.see_planted(committee, votes[committee])

    def plants(self) -> bool:
        """Whether the test that runs has planted models."""
        cycle = self.cycle if self.gate.early else 1
        return bool(self.draw.random() < plants_with(self.gate.planted, cycle))

    def keep(self, model: Weights) -> None:
        """Have the trail follow a kept model."""
        fresh = fresh_part(self.gate.trail, self.kept)
        self.trail = ((1 - fresh) * self.trail + fresh * model).astype(np.float32)
        self.kept += 1

    def play(self) -> float:
        """Final score: the mean of the champion's at the last three tenths of ten hops."""
        baton, hops, records = self.trail, 0, [0.0] * (HOPS // 10)
        while hops < HOPS:
            kept, used = self.round(baton, HOPS - hops)
            for model in kept:
                self.keep(model)
                baton = model
            score = self.network.score(self.trail, self.cases.x_test, self.cases.y_test)
            for place in range(hops // 10, (hops + used) // 10):
                records[place] = score
            hops += used
        return float(np.mean(records[-3:]))


def final(job: tuple[str, World, int]) -> float:
    """One run."""
    variant, world, seed = job
    with np.errstate(all="ignore"):
        return Relay(VARIANTS[variant], world, seed).play()


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def means(variants: list[str], rows: list[list[str]]) -> list[list[str]]:
    """Each variant's mean over the worlds less the first one's, in points: medians, worst seeds."""
    numbers = [[cell.rstrip(")").split(" (") for cell in row[1:]] for row in rows]
    scores = np.array(numbers, dtype=float).mean(axis=0)
    less = 100 * (scores - scores[0])
    return [[name, *(f"{x:+.1f}" for x in each)] for name, each in zip(variants, less, strict=True)]


def store(path: Path, seeds: range, head: list[str], rows: list[list[str]]) -> None:
    """Write tables as `scripts.evidence` reads them, into the page docs/robustness.md."""
    command = "python -m experiments.gate.gate " + " ".join(f'"{name}"' for name in head[1:])
    published = "--store experiments/results/gate.json"  # wherever it is kept now
    options = f" --seeds {len(seeds)} --first-seed {seeds.start} {published}"
    parts = {"commands": [command + options], "columns": head, "rows": rows}
    columns = [f"mean of {len(rows)} worlds, in points", "medians", "worst seeds"]
    summary = {**parts, "columns": columns, "rows": means(head[1:], rows)[1:]}
    about = {"about": "Median final score, and the worst seed's, of each world and variant."}
    stored = json.dumps(
        {**about, "version": __version__, "tables": {"parts": parts, "means": summary}}, indent=1
    )
    path.write_text(f"{stored}\n", "utf-8")


def main() -> None:
    """Print a table with a row a world and a column a variant: median and worst final score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="*", default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--worlds", default="", help="only worlds whose name has this in it")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--store", type=Path, help="write the table to this file, too")
    options = parser.parse_args()
    if unknown := set(options.variants) - set(VARIANTS):
        parser.error(f"no variant {', '.join(unknown)}; there are {', '.join(VARIANTS)}")
    worlds = [world for world in WORLDS if options.worlds in world.name]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    head, rows = ["world", *options.variants], []
    print(_row(head))
    print("|" + "---|" * (1 + len(options.variants)))
    with Pool(options.workers) as pool:
        for world in worlds:
            jobs = [(variant, world, seed) for variant in options.variants for seed in seeds]
            found = np.array(pool.map(final, jobs, chunksize=1)).reshape(-1, len(seeds))
            cells = [f"{np.median(each):.3f} ({each.min():.3f})" for each in found]
            rows.append([world.name, *cells])
            print(_row(rows[-1]), flush=True)
    if options.store is not None:
        store(options.store, seeds, head, rows)


if __name__ == "__main__":
    main()

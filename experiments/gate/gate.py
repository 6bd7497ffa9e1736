"""What the gate's parts are worth: a relay in plain numpy, fast enough to try many.

    python -m experiments.gate.gate                 # all variants, 9 worlds, 6 seeds: some minutes
    python -m experiments.gate.gate shipped no-debt --seeds 3

One lane, legs of up to four, digits and an MLP 64-64-10 on 20 participants, 400 hops; the
rules are the library's own, the training is numpy's, and nothing is sent, signed or paid.
It ranks variants; what the shipped relay does is measured by `flower-relay compare`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import Pool
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from clients.data import load_dataset
from clients.hostile import is_hostile
from clients.models import build_model
from clients.partition import partition, split_held_out
from flower_relay.rules.gate import EXPECTED, judge_leg, leeway, patience_with, usual_margin
from flower_relay.rules.standing import (
    BOND_GAIN,
    DEBT_ALLOWANCE,
    DEBT_SCALE,
    new_bonds,
    new_debt,
    stride_of,
    waiting_cycles,
)
from flower_relay.rules.votes import draw_committee
from flower_relay.settings import RelaySettings

Weights = NDArray[np.float32]
NODES, HOPS, CLASSES, BATCH = 20, 400, 10, 16
SHAPES = ((64, 64), (64,), (64, 10), (10,))
WORLDS = (
    ("dirichlet:0.1", "", 0.0, 0.2),
    ("labels:1", "", 0.0, 0.2),
    ("dirichlet:0.3", "noise", 0.2, 0.4),
    ("dirichlet:0.1", "label-flip", 0.2, 0.2),
    ("dirichlet:0.1", "sign-flip", 0.2, 0.2),
    ("dirichlet:0.1", "creeping", 0.2, 0.2),
    ("dirichlet:0.3", "label-flip", 0.4, 0.4),
    ("dirichlet:0.3", "sign-flip", 0.4, 0.4),
    ("dirichlet:0.3", "noise", 0.4, 0.4),
)
"""Partition, attack (whose examiners lie), hostile share, learning rate."""


SHIPPED = RelaySettings()
"""Whose defaults the shipped gate has."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A variant of the gate; the defaults are what ships."""

    power: float = 0.25  # the utility is p ** power; 0: the bounded loss
    tolerance: float = SHIPPED.tolerance
    relative: bool = True  # debts by what is usual, or by what is below zero
    scale: float = DEBT_SCALE
    allowance: float = DEBT_ALLOWANCE
    leeway: bool = True  # the tolerance is wider where hops usually cost something
    bonds: float = BOND_GAIN  # what a clear vote moves its examiner's bond by
    strides: bool = True  # debts shorten hops
    squared: bool = True  # tolerances shrink like a stride's square, or like the stride
    first_debt: float = SHIPPED.first_debt  # what everybody begins with
    proven: bool = True  # who had three hops accepted has twice the tolerance without debts
    expected: tuple[float, ...] = EXPECTED  # margins before there are others
    whole: bool = True  # only whole hops tell what is usual
    shuffled: bool = True  # each cycle in an order of its own, or by who waits longest
    waits: str = "rejected"  # or "always": whoever is in debt waits
    whole_legs: bool = False  # only a leg's end is judged, all of it only where that fails
    gate: bool = True
    trail: float = SHIPPED.trail


VARIANTS = {
    "shipped": Gate(),
    "untested": Gate(gate=False, strides=False),
    "bounded loss": Gate(power=0.0),
    "square root of p": Gate(power=0.5),
    "p itself": Gate(power=1.0),
    "no debt": Gate(allowance=1.0),
    "debts grow faster": Gate(scale=0.3),
    "no leeway": Gate(leeway=False),
    "no bonds": Gate(bonds=0.0),
    "tolerance like the stride": Gate(squared=False),
    "first hops whole": Gate(first_debt=0.0),
    "nobody proven": Gate(proven=False),
    "nothing expected": Gate(expected=(0.0,) * 3),
    "all hops tell what is usual": Gate(whole=False),
    "debts by zero": Gate(relative=False, scale=1.0, allowance=0.2),
    "debts wait": Gate(strides=False, waits="always"),
    "debts wait, by zero": Gate(
        relative=False, scale=1.0, allowance=0.2, strides=False, waits="always"
    ),
    "whole legs": Gate(whole_legs=True),
    "tolerance 0.08": Gate(tolerance=0.08),
    "tolerance 0.14": Gate(tolerance=0.14),
    "trail 0.8": Gate(trail=0.8),
    "the same order": Gate(shuffled=False),
}


@dataclass(frozen=True)
class World:
    """Everybody's cases, those they keep for examining, and the common test."""

    parts: list[tuple[NDArray[Any], NDArray[Any]]]
    x: NDArray[Any]
    y: NDArray[Any]
    owner: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]


@cache
def world_of(scheme: str, seed: int) -> World:
    """A partition of digits, the same as the ClientApp has it."""
    data = load_dataset("digits")
    x = data.x.reshape(len(data.x), -1)
    parts, held = [], []
    for part in partition(data.y, data.group, scheme, NODES, seed):
        kept, out = split_held_out(part, seed)
        parts.append((x[kept], data.y[kept]))
        held.append(out)
    rows = np.concatenate(held)
    owner = np.repeat(np.arange(NODES), [len(out) for out in held])
    x_test = data.x_test.reshape(len(data.x_test), -1)
    return World(parts, x[rows], data.y[rows], owner, x_test, data.y_test)


def first_weights(seed: int) -> Weights:
    """The genesis model, flat: input × hidden, biases, hidden × output, biases."""
    state = build_model("mlp", (1, 8, 8), CLASSES, seed).state_dict().values()
    return np.concatenate([w.numpy().T.ravel() for w in state]).astype(np.float32)


def layers(weights: Weights) -> Iterator[NDArray[Any]]:
    """Views of the four arrays in flat weights."""
    place = 0
    for shape in SHAPES:
        size = int(np.prod(shape))
        yield weights[place : place + size].reshape(shape)
        place += size


def log_probs(weights: Weights, x: NDArray[Any]) -> NDArray[Any]:
    """Log-probabilities of the classes, (cases, classes)."""
    w1, b1, w2, b2 = layers(weights)
    z = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    z = z - z.max(1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(1, keepdims=True)))


def trained(base: Weights, x: Any, y: Any, lr: float, rng: np.random.Generator) -> Weights:
    """Weights after one epoch of SGD from a base."""
    weights = base.copy()
    w1, b1, w2, b2 = layers(weights)
    truth, rate = np.eye(CLASSES, dtype=np.float32)[y], np.float32(lr)
    order = rng.permutation(len(y))
    for place in range(0, len(y), BATCH):
        batch = order[place : place + BATCH]
        hidden = x[batch] @ w1 + b1
        active = np.maximum(hidden, 0)
        z = active @ w2 + b2
        p = np.exp(z - z.max(1, keepdims=True))
        error = (p / p.sum(1, keepdims=True) - truth[batch]) / np.float32(len(batch))
        back = (error @ w2.T) * (hidden > 0)
        w2 -= rate * (active.T @ error)
        b2 -= rate * error.sum(0)
        w1 -= rate * (x[batch].T @ back)
        b1 -= rate * back.sum(0)
    return weights


@dataclass
class Relay:
    """One relay while it runs."""

    gate: Gate
    scheme: str
    attack: str
    share: float
    lr: float
    seed: int
    bond: NDArray[Any] = field(default_factory=lambda: np.ones(NODES))
    waits: NDArray[Any] = field(default_factory=lambda: np.zeros(NODES, dtype=int))
    had_turn: NDArray[Any] = field(default_factory=lambda: np.zeros(NODES, dtype=bool))
    accepted: NDArray[Any] = field(default_factory=lambda: np.zeros(NODES, dtype=int))
    newest: NDArray[Any] = field(default_factory=lambda: np.zeros(NODES, dtype=int))
    cycle: int = 0
    legs: int = 0
    leg: int = 1

    def __post_init__(self) -> None:
        self.debt = np.full(NODES, self.gate.first_debt)
        self.margins = list(self.gate.expected)
        self.world = world_of(self.scheme, self.seed)
        self.rng = np.random.default_rng([self.seed, 1])
        self.draw = np.random.default_rng([self.seed, 2])
        self.hostile = np.array(
            [self.share > 0 and is_hostile(i, NODES, self.share, self.seed) for i in range(NODES)]
        )

    def cases(self, weights: Weights, rows: Any = slice(None)) -> NDArray[Any]:
        """The utility of each case that is kept for examining."""
        y = self.world.y[rows]
        with np.errstate(all="ignore"):
            logs = log_probs(weights, self.world.x[rows])[np.arange(len(y)), y]
        bound = 2 * np.log(CLASSES)
        logs = np.nan_to_num(logs, nan=-1e9, neginf=-1e9)
        if self.gate.power == 0:
            return np.asarray(1 - np.minimum(-logs, bound) / bound)
        return np.asarray(np.exp(np.maximum(logs, -300) * self.gate.power))

    def utilities(self, weights: Weights) -> NDArray[Any]:
        """What each participant says of a model; hostile ones say the opposite."""
        owner = self.world.owner
        found = np.bincount(owner, self.cases(weights), NODES) / np.bincount(owner)
        return np.where(self.hostile, 1 - found, found)

    def hop(self, base: Weights, who: int) -> Weights:
        """What a participant hands in."""
        x, y = self.world.parts[who]
        attack = self.attack if self.hostile[who] else ""
        honest = trained(base, x, 9 - y if attack == "label-flip" else y, self.lr, self.rng)
        if attack == "sign-flip":
            return base - 4 * (honest - base)
        if attack == "noise":
            return base + 0.5 * self.rng.standard_normal(base.shape).astype(np.float32)
        return self.creep(base, honest, who) if attack == "creeping" else honest

    def stride(self, who: int) -> float:
        """The part of a participant's hop that is taken."""
        return stride_of(self.debt[who]) if self.gate.strides else 1.0

    def patience(self, who: int) -> float:
        """The part of the tolerance that a participant's hop has."""
        stride, accepted = self.stride(who), int(self.accepted[who])
        patience = patience_with(stride, accepted if self.gate.proven else 0)
        return patience if self.gate.squared else max(patience, stride)

    def creep(self, base: Weights, honest: Weights, who: int) -> Weights:
        """The longest step back that costs the attacker's own cases less than the tolerance."""
        mine = self.world.owner == who
        allowed = self.gate.tolerance * max(1.0, self.patience(who))
        least = self.cases(base, mine).mean() - 0.93 * allowed
        short, long = 0.0, 16.0
        for _ in range(12):
            middle = (short + long) / 2
            passes = self.cases(base - np.float32(middle) * (honest - base), mine).mean() >= least
            short, long = (middle, long) if passes else (short, middle)
        return base - np.float32(short) * (honest - base)

    def next_leg(self, left: int) -> NDArray[Any]:
        """Who trains next, in order."""
        while not (may := np.flatnonzero(~self.had_turn & (self.waits <= self.cycle))).size:
            self.cycle, self.had_turn = self.cycle + 1, np.zeros(NODES, dtype=bool)
        queue = self.rng.permutation(may)
        if not self.gate.shuffled:
            queue = queue[np.argsort(self.newest[queue], kind="stable")]
        self.legs += 1
        who = queue[: min(self.leg, left, NODES // 2)]
        self.newest[who] = self.legs
        return np.asarray(who)

    def round(self, baton: Weights, left: int) -> tuple[list[Weights], int]:
        """The kept models of a leg, and how many hops it had."""
        who = self.next_leg(left)
        strides = [self.stride(i) for i in who]
        models = [baton]
        for i, stride in zip(who, strides, strict=True):
            base, made = models[-1], self.hop(models[-1], i)
            made = made if np.isfinite(made).all() else base
            models.append((base + np.float32(stride) * (made - base)).astype(np.float32))
        self.had_turn[who] = True
        if not self.gate.gate:
            self.leg = min(4, self.leg + 1)
            return models[1:], len(who)
        return models[1 : 1 + self.judged(who, strides, models)], len(who)

    def judged(self, who: NDArray[Any], strides: list[float], models: list[Weights]) -> int:
        """Judge a leg, and book it on bonds and debts; how many hops are kept."""
        gate = self.gate
        committee = draw_committee(np.setdiff1d(np.arange(NODES), who), 15, self.draw)
        rows = np.array([self.utilities(model)[committee] for model in models])
        patience = [self.patience(i) for i in who]
        seen = rows.copy()
        tolerance = gate.tolerance * (leeway(usual_margin(self.margins)) if gate.leeway else 1.0)
        if gate.whole_legs:
            seen[1:-1] = np.nan
            end = judge_leg(seen, self.bond[committee], tolerance, patience)
            seen = seen if end.passed else rows
        verdict = judge_leg(seen, self.bond[committee], tolerance, patience)
        self.leg = min(4, self.leg + 1) if verdict.passed else max(1, self.leg // 2)
        for place in (*verdict.culprits, *range(verdict.kept)):
            i, accepted = who[place], place < verdict.kept
            self.book(i, verdict.votes[place] / (gate.tolerance * strides[place]), accepted)
            self.bond[committee] = new_bonds(
                self.bond[committee], rows[place + 1] - rows[place], verdict.votes[place],
                tolerance=gate.tolerance, gain=gate.bonds,
            )  # fmt: skip
        voided = set(range(verdict.kept, len(who))) - set(verdict.culprits)
        self.had_turn[who[sorted(voided)]] = False
        return verdict.kept

    def book(self, i: int, margin: float, accepted: bool) -> None:
        """Book a hop on the debt of its trainer, and the wait that follows."""
        gate, whole = self.gate, self.stride(i) == 1
        usual = usual_margin(self.margins) if gate.relative else 0.0
        self.debt[i] = new_debt(self.debt[i], margin, usual, gate.scale, gate.allowance)
        waits = gate.waits == "always" or not accepted
        self.accepted[i] += accepted
        self.waits[i] = self.cycle + 1 + (waiting_cycles(self.debt[i]) if waits else 0)
        if whole or not gate.whole:
            self.margins = [*self.margins, margin][-40:]

    def play(self) -> float:
        """Final accuracy: the mean of the champion's at the last three tenths of ten hops."""
        baton = trail = first_weights(self.seed)
        hops, accepted, records = 0, 0, [0.0] * (HOPS // 10)
        while hops < HOPS:
            kept, used = self.round(baton, HOPS - hops)
            for model in kept:
                fresh = (1 - self.gate.trail) / (1 - self.gate.trail ** (accepted + 1))
                trail = ((1 - fresh) * trail + fresh * model).astype(np.float32)
                baton, accepted = model, accepted + 1
            hits = log_probs(trail, self.world.x_test).argmax(1) == self.world.y_test
            for place in range(hops // 10, (hops + used) // 10):
                records[place] = float(hits.mean())
            hops += used
        return float(np.mean(records[-3:]))


def final(job: tuple[str, tuple[str, str, float, float], int]) -> float:
    """One run."""
    variant, (scheme, attack, share, lr), seed = job
    with np.errstate(all="ignore"):
        return Relay(VARIANTS[variant], scheme, attack, share, lr, seed).play()


def main() -> None:
    """Print a row a variant: the median final accuracy over seeds, a column a world."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="*", default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--seeds", type=int, default=6)
    options = parser.parse_args()
    if unknown := set(options.variants) - set(VARIANTS):
        parser.error(f"no variant {', '.join(unknown)}; there are {', '.join(VARIANTS)}")
    seeds = range(1000, 1000 + options.seeds)
    heads = [f"{s[:1]}{s.split(':')[1]} {a or 'clean'} {share:.0%}" for s, a, share, _ in WORLDS]
    print(f"{'variant':<22}" + "".join(f"{head:>20}" for head in heads))
    with Pool() as pool:
        for variant in options.variants:
            jobs = [(variant, world, seed) for world in WORLDS for seed in seeds]
            found = np.array(pool.map(final, jobs, chunksize=1)).reshape(len(WORLDS), -1)
            print(
                f"{variant:<22}" + "".join(f"{v:>20.3f}" for v in np.median(found, 1)), flush=True
            )


if __name__ == "__main__":
    main()

"""How much of a participant's data one hop gives away, beside FedAvg, and what noise costs.

    python -m experiments.privacy.privacy    # all parts, some twenty minutes on one core
    python -m experiments.privacy.privacy membership --seeds 5
    python -m experiments.privacy.privacy inversion noise

Parts: `membership` and `inversion` (attacks on what successor, examiners, FedAvg's server and
the others see), `settings` (membership by local training and by a participant's cases),
`noise` (both attacks under Flower's local differential privacy), `accuracy` (what that costs),
`figure` (draws docs/privacy.png). Tables are Markdown: medians over seeds and 95 % bootstrap
intervals. The attacks stand beside this file, each with what its attacker is given.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor

from experiments.privacy.inversion import (
    Plan,
    by_division,
    by_matching,
    class_means,
    nearest,
    planned,
    psnr,
)
from experiments.privacy.membership import Rates, attack, loss_only, shadows_of
from experiments.privacy.noise import privately
from experiments.privacy.tables import (
    Table,
    note_psnr,
    note_rates,
    print_accuracy,
    print_likeness,
    print_scores,
)
from experiments.privacy.world import NODES, Cases, Stage, World, local, stages_of
from flower_relay.comparison.statistics import median

CLIP = 0.5
"""Updates of the first hops are about 1 long, later ones 0.1 to 0.4."""
EPSILONS = (1e9, 1000.0, 300.0, 100.0, 30.0, 10.0)
"""By Flower's formula, a message; the first is clipping alone."""
NOISED_STAGES, SETTINGS_STAGES = (4, 100), (4, 100)

Part = Callable[[range], None]


def _victims(world: World, at: Tensor, seed: int, **training: int) -> Tensor:
    """Everybody's update from the same weights, (participants, weights)."""
    made = [local(world, at, c, seed + k, **training) for k, c in enumerate(world.clients)]
    return torch.stack(made) - at


def _shadows(world: World, at: Tensor, seed: int, **training: int) -> list[Tensor]:
    return [
        shadows_of(world, at, cases, seed + 100 * k, **training)
        for k, cases in enumerate(world.clients)
    ]


def _attacked(
    world: World, at: Tensor, updates: Tensor, shadows: list[Tensor]
) -> list[dict[str, Rates]]:
    return [
        attack(world, cases, at, update, of_shadows)
        for cases, update, of_shadows in zip(world.clients, updates, shadows, strict=True)
    ]


def membership(seeds: range, model: str = "mlp") -> None:
    """Print who can tell members, at each stage."""
    table: Table = defaultdict(list)
    for seed in _progress(seeds):
        world = World.of(seed, model)
        for stage in stages_of(world):
            _membership_at(world, stage, 10_000 * stage.hops, table)
    print_scores(table, f"Membership, {model}")


def _membership_at(world: World, stage: Stage, seed: int, table: Table) -> None:
    hops, base, shown = f"{stage.hops}", stage.baton, stage.shown
    updates, shadows = _victims(world, base, seed), _shadows(world, base, seed + 50)
    note_rates(table, ("relay: successor, exact", hops), _attacked(world, base, updates, shadows))
    found = _attacked(world, shown, stage.rounded(updates), shadows)
    note_rates(table, ("relay: examiner, 8 bits", hops), found)
    at = stage.average
    updates, shadows = _victims(world, at, seed), _shadows(world, at, seed + 50)
    note_rates(
        table, ("FedAvg: server, one client's", hops), _attacked(world, at, updates, shadows)
    )
    # Of the average the attacker imagines all twenty.
    mean = world.shares @ updates
    imagined = torch.einsum("k,ksw->sw", world.shares, torch.stack(shadows))
    found = _attacked(world, at, mean.expand(NODES, -1), [imagined] * NODES)
    note_rates(table, (f"FedAvg: average of {NODES}", hops), found)
    for name, weights in zip(("relay", "FedAvg"), stage.published, strict=True):
        found = [{"loss": loss_only(world, cases, weights)} for cases in world.clients]
        note_rates(table, (f"{name}: published model alone", hops), found)


def settings(seeds: range) -> None:
    """Print what a successor learns by how much is trained, and by a participant's cases."""
    table: Table = defaultdict(list)
    close: Table = defaultdict(list)
    for seed in _progress(seeds):
        world = World.of(seed)
        for stage in stages_of(world):
            if stage.hops in SETTINGS_STAGES:
                for name, training in (
                    ("one step on all cases", {"batch": 10_000}),
                    ("1 epoch", {}),
                    ("2 epochs", {"epochs": 2}),
                    ("5 epochs", {"epochs": 5}),
                ):
                    _setting_at(world, stage, name, training, table)
                _by_size_at(world, stage, close)
    print_scores(table, "Membership by local training: relay, successor")
    print("\n### Cases that division brings to 20 dB from one epoch, by a participant's cases\n")
    for key, values in close.items():
        print(f"{', '.join(key)}: {median(values).shown('.2f')}")


def _by_size_at(world: World, stage: Stage, close: Table) -> None:
    plan, updates = _planned(world, stage.baton, "1 epoch", 10_000 * stage.hops)
    found: dict[str, list[Tensor]] = defaultdict(list)
    for update, x, mask in zip(updates, plan.x, plan.mask, strict=True):
        size = "below 30 cases" if int(mask.sum()) < 30 else "30 cases or more"
        found[size].append(psnr(nearest(by_division(update), x[mask]), x[mask]) >= 20)
    for size, hits in found.items():
        close[size, f"{stage.hops}"].append(float(torch.cat(hits).float().mean()))


def _setting_at(
    world: World, stage: Stage, name: str, training: dict[str, int], table: Table
) -> None:
    seed, hops = 10_000 * stage.hops, f"{stage.hops}"
    updates = _victims(world, stage.baton, seed, **training)
    shadows = _shadows(world, stage.baton, seed + 50, **training)
    found = _attacked(world, stage.baton, updates, shadows)
    note_rates(table, (name, hops), found)
    if not training:
        order = np.argsort([len(cases) for cases in world.clients])
        for size, who in (("fewest", order[: NODES // 2]), ("most", order[NODES // 2 :])):
            note_rates(
                table, (f"1 epoch, the ten with the {size} cases", hops), [found[k] for k in who]
            )


def inversion(seeds: range) -> None:
    """Print how close reconstructions come, at each stage."""
    table: Table = defaultdict(list)
    for seed in _progress(seeds):
        world = World.of(seed)
        for stage in stages_of(world):
            for amount in ("1 case, 1 step", "4 cases, 1 step", "1 epoch"):
                _inversion_at(world, stage, amount, table)
    print_likeness(table, "Inversion")


def _inversion_at(world: World, stage: Stage, amount: str, table: Table) -> None:
    hops, seed = f"{stage.hops}", 10_000 * stage.hops
    plan, updates = _planned(world, stage.baton, amount, seed)
    _, of_average = _planned(world, stage.average, amount, seed)
    mean = plan.averaged(of_average)
    means = class_means(world.pool)
    for view, at, seen in (
        ("relay: successor, exact", stage.baton, updates),
        ("relay: examiner, 8 bits", stage.shown, stage.rounded(updates)),
        ("FedAvg: server, one client's", stage.average, of_average),
        (f"FedAvg: average of {NODES}", stage.average, mean),
    ):
        _note_likeness(table, (amount, view, hops), at, seen, plan, means)
    _note_guesses(table, (amount, "no update: class mean, 64 others", hops), world, plan, means)


def _planned(world: World, at: Tensor, amount: str, seed: int) -> tuple[Plan, Tensor]:
    """Everybody's batches, and the updates they give."""
    clients = world.clients
    if amount != "1 epoch":
        few = int(amount.split()[0])
        clients = [Cases(c.x[:few], c.y[:few]) for c in clients]
    seeds = [seed + k for k in range(NODES)]
    made = [local(world, at, c, s) - at for c, s in zip(clients, seeds, strict=True)]
    return planned(clients, seeds), torch.stack(made)


def _note_likeness(
    table: Table, key: tuple[str, ...], at: Tensor, seen: Tensor, plan: Plan, means: Tensor,
    clip: float = math.inf,
) -> None:  # fmt: skip
    averaged = seen.ndim == 1
    matched = psnr(by_matching(at, seen, plan, means, averaged=averaged, clip=clip), plan.truth)
    if averaged:
        divided = psnr(nearest(by_division(seen), plan.truth), plan.truth)
    else:
        divided = torch.cat(
            [
                psnr(nearest(by_division(update), x[mask]), x[mask])
                for update, x, mask in zip(seen, plan.x, plan.mask, strict=True)
            ]
        )
    note_psnr(table, key, "matching", matched)
    note_psnr(table, key, "division", divided)


def _note_guesses(
    table: Table, key: tuple[str, ...], world: World, plan: Plan, means: Tensor
) -> None:
    """What is had without any update: class means, and the nearest of 64 cases of others."""
    note_psnr(table, key, "matching", psnr(means[plan.y][plan.mask], plan.truth))
    drawn = torch.randperm(len(world.pool), generator=torch.Generator().manual_seed(0))[:64]
    others = world.pool.x[drawn].flatten(1)
    note_psnr(table, key, "division", psnr(nearest(others, plan.truth), plan.truth))


def noise(seeds: range) -> None:
    """Print both attacks against a successor's view under local differential privacy."""
    told: Table = defaultdict(list)
    close: Table = defaultdict(list)
    for seed in _progress(seeds):
        np.random.seed(seed)  # Flower's mod draws from numpy's global generator
        world = World.of(seed)
        for stage in stages_of(world):
            if stage.hops in NOISED_STAGES:
                shadows = [_clipped(s) for s in _shadows(world, stage.baton, 50)]
                for epsilon in EPSILONS:
                    _noised_at(world, stage, epsilon, shadows, told, close)
    print_scores(told, f"Membership under noise: relay, successor, clip {CLIP}")
    print_likeness(close, f"Inversion under noise: relay, successor, clip {CLIP}")


def _noised_at(
    world: World, stage: Stage, epsilon: float, shadows: list[Tensor], told: Table, close: Table
) -> None:
    base, key = stage.baton, (_spelled(epsilon), f"{stage.hops}")
    noised = _privately(base, _victims(world, base, 10_000 * stage.hops), epsilon)
    note_rates(told, key, _attacked(world, base, noised, shadows))
    for amount in ("1 case, 1 step", "1 epoch"):
        plan, updates = _planned(world, base, amount, 10_000 * stage.hops)
        seen, means = _privately(base, updates, epsilon), class_means(world.pool)
        _note_likeness(close, (amount, *key), base, seen, plan, means, CLIP)


def _privately(base: Tensor, updates: Tensor, epsilon: float) -> Tensor:
    made = [privately(base, base + update, epsilon=epsilon, clip=CLIP) for update in updates]
    return torch.stack(made) - base


def _clipped(updates: Tensor) -> Tensor:
    """The attacker knows the clip, too."""
    return updates * (CLIP / updates.norm(dim=1, keepdim=True)).clamp(max=1)


def _spelled(epsilon: float) -> str:
    return "clip only" if epsilon == EPSILONS[0] else f"ε {epsilon:g}"


def accuracy(seeds: range) -> None:
    """Print what noise costs: final accuracy after 200 client-epochs, in memory."""
    from strategies.contest import play_in_memory

    strategies = ("relay", "relay-untested", "fedavg")
    table: Table = defaultdict(list)
    for seed in _progress(seeds):
        for epsilon in (0.0, *EPSILONS):
            for strategy in strategies:
                cell = {
                    "strategy": strategy, "data": "digits", "partition": "dirichlet:0.3",
                    "attack": "", "share": 0.0, "seed": seed, "nodes": NODES, "budget": 200,
                    "engine": "memory", "fleet": "homogeneous",
                    "settings": {"local-dp-epsilon": epsilon, "local-dp-clip": CLIP},
                }  # fmt: skip
                np.random.seed(seed)
                records = play_in_memory(cell).found["records"][-3:]
                final = float(np.mean([record["accuracy"] for record in records]))
                table[f"{epsilon:g}", strategy].append(final)
    print_accuracy(table, strategies, EPSILONS, CLIP)


def _progress(seeds: range) -> Iterator[int]:
    """The seeds, with progress."""
    for seed in seeds:
        print(f"\rseed {seed} of {len(seeds)}", end="", file=sys.stderr, flush=True)
        yield seed
    print(file=sys.stderr)


def figure(seeds: range) -> None:
    """Draw what division recovers of six participants' cases, into docs/privacy.png."""
    from experiments.privacy.pictures import draw

    world = World.of(seeds[0])
    stage = stages_of(world)[0]
    views = {
        amount: _planned(world, stage.baton, amount, 10_000 * stage.hops)
        for amount in ("1 case, 1 step", "4 cases, 1 step", "1 epoch")
    }
    draw(world, stage, views)


PARTS: dict[str, Part] = {
    "membership": membership,
    "inversion": inversion,
    "settings": settings,
    "noise": noise,
    "accuracy": accuracy,
    "figure": figure,
}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    if unknown := set(given.parts) - PARTS.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    torch.set_num_threads(1)
    for name in given.parts or PARTS:
        began = time.monotonic()
        PARTS[name](range(given.seeds))
        print(f"\n({name}: {given.seeds} seeds, {time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()

"""The authors' economy written a second time, naively, in floats: a source of traces.

It shares no code with the library, so that a rule that is wrong there is wrong here only
if it was misread twice. Cost and style are of no concern: ancestors are walked one by one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

SLOTS = 4


@dataclass
class Model:
    performance: float
    owner: int
    parent: Model | None


def economy(participants: int, rounds: int, seed: int) -> list[dict[str, Any]]:
    """A trace in the authors' format; extinct from the round on that recognises nobody."""
    draw = random.Random(seed)
    coins, held = [0.0] * participants, [0] + [-1] * (participants - 1)
    made = list(held)
    owned = [(0, Model(0.0, 0, None))]
    rows = []
    for number in range(rounds):
        owned.sort(key=lambda offer: -offer[1].performance)
        owners = [owner for owner, _ in owned]
        rest = [who for who in range(participants) if who not in owners]
        size = max(0, min(len(rest) - 1, participants // 2 - len(owners)))
        trainers = draw.sample(rest, size)
        bid = {t: min(coins[t], number - max(made[t], 0) + 1) for t in trainers}
        draw.shuffle(trainers)
        trainers.sort(key=lambda t: -bid[t])
        stake = [min(coins[owner], 0.001) / SLOTS for owner in owners]
        free = [who for who in rest if who not in trainers]
        miners = [draw.choice(free) for _ in range(4)]
        pairs, made_now = [], []
        for place, trainer in enumerate(trainers[: SLOTS * len(owned)]):
            owner, base = owned[place // SLOTS]
            trained = draw.random() < 0.9
            gain = draw.gauss(1, 1) if trained else 0.0
            pairs.append([owner, trainer, trained, gain])
            coins[owner] -= stake[place // SLOTS]
            coins[trainer] -= bid[trainer]
            if trained:
                model = Model(base.performance + gain, trainer, base)
                made_now.append((model, owner, stake[place // SLOTS]))
                made[trainer] = held[trainer] = number + 1
        coins[miners[0]] += 0.001 * len(pairs)
        coins[miners[1]] += 0.001 * len(made_now)
        coins[miners[2]] += 0.1 + 0.001 * len(made_now)
        coins[miners[3]] += 0.101 * len(made_now)
        if made_now:
            held[miners[1]] = number + 1
        made_now.sort(key=lambda entry: -entry[0].performance)
        best = made_now[: len(made_now) // 2]
        for model, owner, back in best:
            coins[model.owner] += bid[model.owner]
            coins[owner] += back + 1
            above = model.parent
            while above is not None:  # a model pays who owned the base it was made from
                coins[above.parent.owner if above.parent else 0] += 1
                above = above.parent
        rows.append(
            {
                "round": number, "owners": owners, "mo_bids": stake, "trainers": trainers,
                "owner_perf": [model.performance for _, model in owned],
                "bids": [bid[t] for t in trainers], "pairs": pairs, "miners": miners,
                "settled": [[owner, model.owner] for model, owner, _ in best],
                "coins": list(coins), "version": list(held),
            }
        )  # fmt: skip
        owned = [(model.owner, model) for model, _, _ in best]
    return rows

"""Figures of the attacks, collected seed by seed and printed as Markdown: medians and intervals."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from experiments.privacy.membership import SCORES, Rates
from experiments.privacy.noise import exact_epsilon, mu_of
from flower_relay.comparison.statistics import median

__all__ = [
    "Table", "note_psnr", "note_rates", "print_accuracy", "print_likeness", "print_scores",
]  # fmt: skip

Table = dict[tuple[str, ...], list[float]]
"""By row and figure, one number a seed."""


def note_rates(table: Table, key: tuple[str, ...], found: list[dict[str, Rates]]) -> None:
    """A seed's means over participants, score by score."""
    for name in found[0]:
        table[*key, name, "auc"].append(float(np.mean([one[name].auc for one in found])))
        table[*key, name, "true"].append(float(np.mean([one[name].true for one in found])))


def print_scores(table: Table, title: str) -> None:
    """Area under the curve by score, and the best one with its true positives."""
    print(f"\n### {title}\n\n| | " + " | ".join(SCORES) + " | best AUC | best TPR at 1 % FPR |")
    print("|---" * (len(SCORES) + 3) + "|")
    for key in dict.fromkeys(key[:-2] for key in table):
        medians = {
            name: median(table[*key, name, "auc"])
            for name in SCORES
            if (*key, name, "auc") in table
        }
        best = max(medians, key=lambda name: medians[name].median)
        cells = [f"{medians[name].median:.3f}" if name in medians else "" for name in SCORES]
        true = max((median(table[*key, name, "true"]) for name in medians), key=lambda i: i.median)
        print(
            f"| {', '.join(key)} | {' | '.join(cells)} | {medians[best].shown('.3f')} "
            f"| {true.shown('.3f')} |"
        )


def note_psnr(table: Table, key: tuple[str, ...], name: str, found: Tensor) -> None:
    """The median of what was found, and the share that is recognisable."""
    table[*key, name, "median"].append(float(found.median()))
    table[*key, name, "close"].append(float((found >= 20).float().mean()))


def print_likeness(table: Table, title: str) -> None:
    """How close reconstructions came."""
    print(f"\n### {title}: median PSNR in dB (60: exact), and share of cases at 20 dB or more\n")
    print("| | division, dB | ≥ 20 dB | matching, dB | ≥ 20 dB |\n|---|---|---|---|---|")
    for key in dict.fromkeys(key[:-2] for key in table):
        cells = [
            median(table[*key, name, what]).shown(spelling)
            for name in ("division", "matching")
            for what, spelling in (("median", ".1f"), ("close", ".2f"))
        ]
        print(f"| {', '.join(key)} | {' | '.join(cells)} |")


def print_accuracy(
    table: Table, strategies: tuple[str, ...], epsilons: tuple[float, ...], clip: float
) -> None:
    """Final accuracy by strategy, and what the noise guarantees."""
    print(f"\n### Accuracy under noise, clip {clip}, 200 client-epochs (mean of last 3 records)\n")
    print("| ε by the mod | σ a weight | ε exact | ten hops | " + " | ".join(strategies) + " |")
    print("|---" * (4 + len(strategies)) + "|")
    for epsilon in (0.0, *epsilons):
        cells = [median(table[f"{epsilon:g}", name]).shown(".3f") for name in strategies]
        spelled = ["off", "0", "–", "–"]
        if epsilon:
            one, ten = exact_epsilon(mu_of(epsilon)), exact_epsilon(mu_of(epsilon, messages=10))
            spelled = [
                f"{epsilon:g}",
                f"{2 * clip / mu_of(epsilon):.2g}",
                f"{one:.3g}",
                f"{ten:.3g}",
            ]
        print(f"| {' | '.join(spelled + cells)} |")

"""What division recovers of six participants' cases, drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import torch
from torch import Tensor

from experiments.privacy.inversion import Plan, by_division, class_means, nearest
from experiments.privacy.world import NODES, Stage, World

matplotlib.use("agg")
from matplotlib import pyplot

__all__ = ["draw"]

_WHO = range(3, 9)


def draw(world: World, stage: Stage, made: Mapping[str, tuple[Plan, Tensor]]) -> None:
    """Draw into docs/privacy.png; `made` are batches and updates by how much was trained."""
    rows = _pictures(world, stage, made)
    chart, axes = pyplot.subplots(len(rows), len(_WHO), figsize=(7.5, 6.6))
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for place, picture in zip(line, pictures, strict=True):
            place.imshow(picture.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            place.set_xticks([])
            place.set_yticks([])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    chart.tight_layout()
    chart.savefig(Path(__file__).resolve().parents[2] / "docs" / "privacy.png", dpi=110)


def _pictures(
    world: World, stage: Stage, made: Mapping[str, tuple[Plan, Tensor]]
) -> dict[str, Tensor]:
    """The first case of six participants, and the nearest candidates in each view."""
    truth = torch.stack([world.clients[k].x[0].flatten() for k in _WHO])
    rows = {"the case": truth}
    for amount, (plan, updates) in made.items():
        views = {"hop": updates, "hop, 8 bits": stage.rounded(updates)}
        if amount == "1 epoch":
            views["average of 20"] = plan.averaged(updates).expand(NODES, -1)
        for view, seen in views.items():
            found = [nearest(by_division(seen[k]), truth[i : i + 1]) for i, k in enumerate(_WHO)]
            rows[f"{view},\n{amount}"] = torch.cat(found)
    rows["nothing:\nclass mean"] = class_means(world.pool)[
        [int(world.clients[k].y[0]) for k in _WHO]
    ]
    return rows

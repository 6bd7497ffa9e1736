"""Small federations whose participants differ in data size and label noise, and their truth.

A federation is an `.npz` file with natural groups, so that the line-up's own ClientApp runs
on it unchanged. Its truth is the value of every coalition: the test accuracy of a model
trained on the coalition's pooled cases. Pooled rather than federated training, because the
worth of data should depend on no strategy, least of all on the one that is examined; the
same number of steps for every coalition, so that its data alone make the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clients.data import load_dataset
from clients.partition import split_held_out
from flower_relay.comparison.shapley import members

__all__ = ["NOISE", "SIZES", "Federation", "coalition_values", "draw_federation"]

SIZES = (60, 100, 160, 240, 340, 460)
"""Cases of the six participants: nearly all of the digits."""
NOISE = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Share of labels drawn at random; sizes and noise are paired at random."""

_HIDDEN, _STEPS, _BATCH, _RATE = 64, 600, 16, 0.2


@dataclass(frozen=True, kw_only=True)
class Federation:
    """Who holds what: cases, labels as they are believed to be, and whose they are."""

    seed: int
    sizes: tuple[int, ...]
    noise: tuple[float, ...]
    x: NDArray[np.float32]
    y: NDArray[np.int64]
    group: NDArray[np.int64]

    def save(self, path: Path) -> None:
        """As a file of natural groups, with the digits' own test set."""
        data = load_dataset("digits")
        np.savez(path, x=self.x, y=self.y, group=self.group, x_test=data.x_test, y_test=data.y_test)


def draw_federation(
    seed: int,
    sizes: Sequence[int] = SIZES,
    noise: Sequence[float] = NOISE,
    *,
    twins: bool = False,
) -> Federation:
    """Draw a federation on digits.

    Parameters
    ----------
    seed : int
        Of the cases, of the pairing of sizes with noise, and of the noise.
    sizes, noise : sequences of one entry a participant
        Cases, and the share of their labels that is drawn at random.
    twins : bool
        Whether the last participant is a copy of the first one instead.
    """
    data, rng = load_dataset("digits"), np.random.default_rng([seed, 101])
    chosen, level = rng.permutation(sizes), rng.permutation(noise)
    cuts = np.cumsum(chosen)
    parts = np.split(rng.permutation(len(data.y))[: cuts[-1]], cuts[:-1])
    cases: list[NDArray[np.int64]] = []
    labels: list[NDArray[np.int64]] = []
    for part, share in zip(parts, level.tolist(), strict=True):
        believed, wrong = data.y[part].copy(), rng.random(len(part)) < share
        believed[wrong] = rng.integers(data.num_classes, size=int(wrong.sum()))
        cases.append(part)
        labels.append(believed)
    if twins:
        cases[-1], labels[-1], chosen[-1], level[-1] = cases[0], labels[0], chosen[0], level[0]
    return Federation(
        seed=seed,
        sizes=tuple(chosen.tolist()),
        noise=tuple(level.tolist()),
        x=data.x[np.concatenate(cases)],
        y=np.concatenate(labels),
        group=np.repeat(np.arange(len(cases)), [len(part) for part in cases]),
    )


def coalition_values(
    federation: Federation, replicate: int, steps: int = _STEPS
) -> NDArray[np.float64]:
    """Test accuracy of a model for every coalition; replicates differ in their training seed.

    Returns
    -------
    array of shape (2ⁿ,)
        That of the empty coalition is the untrained model's. All are trained at once, an MLP
        64-64-10 each, on what participants train on (not on what they examine with).
    """
    data, size = load_dataset("digits"), len(federation.sizes)
    generator = torch.Generator().manual_seed(federation.seed * 1000 + replicate)
    x = torch.from_numpy(federation.x).flatten(1)
    y = torch.from_numpy(federation.y)
    pools = [_pool(federation, coalition) for coalition in range(1, 2**size)]
    length = torch.tensor([len(pool) for pool in pools])
    padded = torch.nn.utils.rnn.pad_sequence(pools, batch_first=True)
    weights = _first_weights(x.shape[1], data.num_classes, generator)
    models = [w.repeat(2**size, *[1] * w.dim()) for w in weights]
    trained = [w[1:].clone().requires_grad_() for w in models]
    optimizer = torch.optim.SGD(trained, lr=_RATE)
    for _ in range(steps):
        drawn = (torch.rand(len(pools), _BATCH, generator=generator) * length[:, None]).long()
        batch = padded.gather(1, drawn)
        optimizer.zero_grad()
        outputs = _outputs(trained, x[batch]).flatten(0, 1)
        # A mean over a batch for each model, summed over models: they do not mix.
        loss = torch.nn.functional.cross_entropy(outputs, y[batch].flatten()) * len(pools)
        torch.autograd.backward(loss)
        optimizer.step()
    models = [torch.cat([w[:1], t.detach()]) for w, t in zip(models, trained, strict=True)]
    x_test = torch.from_numpy(data.x_test).flatten(1)
    right = _outputs(models, x_test).argmax(2) == torch.from_numpy(data.y_test)
    return np.asarray(right.double().mean(1).numpy())


def _pool(federation: Federation, coalition: int) -> torch.Tensor:
    """Indices of the cases that a coalition's members train on."""
    kept = [
        split_held_out(np.flatnonzero(federation.group == member), federation.seed)[0]
        for member in members(coalition)
    ]
    return torch.from_numpy(np.concatenate(kept))


def _first_weights(inputs: int, classes: int, generator: torch.Generator) -> list[torch.Tensor]:
    """Uniform in ±1/√(inputs of the layer), as torch's own linear layers begin."""
    shapes = [(inputs, _HIDDEN), (1, _HIDDEN), (_HIDDEN, classes), (1, classes)]
    spans = [inputs**-0.5] * 2 + [_HIDDEN**-0.5] * 2
    return [
        (torch.rand(shape, generator=generator) * 2 - 1) * span
        for shape, span in zip(shapes, spans, strict=True)
    ]


def _outputs(models: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Logits of all models: (models, cases, classes); `x` may be shared or one a model."""
    hidden = torch.relu(x @ models[0] + models[1])
    return hidden @ models[2] + models[3]

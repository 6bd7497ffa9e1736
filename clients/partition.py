"""Who holds which cases: the same in every process for the same seed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from flower_relay.errors import ConfigurationError

__all__ = ["SCHEMES", "parse_scheme", "partition", "split_held_out"]

SCHEMES = ("iid", "dirichlet:ALPHA", "labels:K", "extended:K", "natural")
_DEFAULTS = {"iid": 0.0, "dirichlet": 0.3, "labels": 2.0, "extended": 1.0, "natural": 0.0}
_EVEN = 1e9
"""An α beyond which a Dirichlet draw overflows, and shares are equal long before."""
_LEAST = 10
"""Cases that every participant gets, where there are enough."""
_EXTENDED_ALPHA = 10.0
"""How evenly the holders of a class share it, as Li and Lyu have it."""

Indices = NDArray[np.int64]


def parse_scheme(scheme: str) -> tuple[str, float]:
    """A scheme's name and its number (0 where it has none).

    Raises
    ------
    ConfigurationError
        When there is no such scheme, or its number is impossible.
    """
    name, _, number = scheme.partition(":")
    try:
        value = float(number) if number else _DEFAULTS[name]
        whole = value >= 1 and value.is_integer()
        possible = {"dirichlet": 0 < value <= _EVEN, "labels": whole, "extended": whole}
        if name not in _DEFAULTS or not possible.get(name, not number):
            raise ValueError
        return name, value
    except (KeyError, ValueError):
        raise ConfigurationError(
            f"partition = {scheme!r}: expected one of {', '.join(SCHEMES)}, with ALPHA above 0 "
            f"and at most {_EVEN:g}, and K a whole number above 0."
        ) from None


def partition(
    labels: NDArray[np.int64],
    group: NDArray[np.int64] | None,
    scheme: str,
    num_parts: int,
    seed: int,
) -> list[Indices]:
    """Divide cases among participants.

    Parameters
    ----------
    labels : integer array of shape (n,)
        Class of each case.
    group : integer array of shape (n,), optional
        Natural group of each case (a hospital, a writer), for `natural`.
    scheme : str
        `iid`, `dirichlet:α`, `labels:k`, `extended:k` or `natural`.
    num_parts, seed : int
        Participants, and the seed of the division.

    Returns
    -------
    list of integer arrays
        Every case in exactly one part; no part empty where there are enough cases.
    """
    name, number = parse_scheme(scheme)
    least = _LEAST
    if not 1 <= num_parts <= len(labels):
        raise ConfigurationError(f"{len(labels)} cases cannot be divided among {num_parts}.")
    rng = np.random.default_rng([seed, 77])
    if name == "natural":
        return _natural(group, num_parts)
    if name == "iid":
        parts = np.array_split(rng.permutation(len(labels)), num_parts)
    elif name == "dirichlet":
        parts = _dirichlet(labels, number, num_parts, rng)
    else:
        divide = _labels if name == "labels" else _extended
        parts = divide(labels, int(number), num_parts, rng)
        least = 2  # topping up brings in other classes: only what split_held_out needs
    return [np.sort(part) for part in _topped_up(parts, min(least, len(labels) // num_parts))]


def _dirichlet(
    labels: NDArray[np.int64], alpha: float, num_parts: int, rng: np.random.Generator
) -> list[Indices]:
    """Each class is shared out in proportions drawn from Dirichlet(α) (Hsu et al. 2019)."""
    parts: list[list[Indices]] = [[] for _ in range(num_parts)]
    for label in np.unique(labels):
        of_class = rng.permutation(np.flatnonzero(labels == label))
        proportions = rng.dirichlet(np.full(num_parts, alpha))
        cuts = (np.cumsum(proportions)[:-1] * len(of_class)).astype(int)
        for part, piece in zip(parts, np.split(of_class, cuts), strict=True):
            part.append(piece)
    return [np.concatenate(pieces) for pieces in parts]


def _labels(
    labels: NDArray[np.int64], per_part: int, num_parts: int, rng: np.random.Generator
) -> list[Indices]:
    """Each participant holds k classes; the holders of a class share it equally.

    Few participants hold more than k where a class would otherwise have no holder.
    """
    classes = np.unique(labels)
    per_part = max(per_part, math.ceil(len(classes) / num_parts))
    holders: list[list[int]] = [[] for _ in classes]
    for part in range(num_parts):
        # The least held first, ties drawn: k different classes, and no class without holder.
        held = np.array([len(parts) for parts in holders])
        for index in np.lexsort((rng.random(len(classes)), held))[:per_part].tolist():
            holders[index].append(part)
    hands: list[list[Indices]] = [[] for _ in range(num_parts)]
    for label, parts in zip(classes, holders, strict=True):
        of_class = rng.permutation(np.flatnonzero(labels == label))
        for part, piece in zip(parts, np.array_split(of_class, len(parts)), strict=True):
            hands[part].append(piece)
    return [np.concatenate(hand) for hand in hands]


def _extended(
    labels: NDArray[np.int64], per_part: int, num_parts: int, rng: np.random.Generator
) -> list[Indices]:
    """The extended Dirichlet split (Li and Lyu 2023): k classes each, drawn without a quota.

    The holders of a class share it by Dirichlet(10). Who has its even share of all cases
    already takes no more, unless all holders of a class have.
    """
    classes = np.unique(labels)
    holds = _drawn_classes(len(classes), per_part, num_parts, rng)
    hands: list[list[Indices]] = [[] for _ in range(num_parts)]
    sizes = np.zeros(num_parts, dtype=np.int64)
    for label, held in zip(classes, holds.T, strict=True):
        of_class = rng.permutation(np.flatnonzero(labels == label))
        open_ = held & (sizes < len(labels) / num_parts)
        holders = np.flatnonzero(open_ if open_.any() else held)
        proportions = rng.dirichlet(np.full(len(holders), _EXTENDED_ALPHA))
        cuts = (np.cumsum(proportions)[:-1] * len(of_class)).astype(int)
        for part, piece in zip(holders.tolist(), np.split(of_class, cuts), strict=True):
            hands[part].append(piece)
            sizes[part] += len(piece)
    return [np.concatenate([np.empty(0, np.int64), *hand]) for hand in hands]


def _drawn_classes(
    num_classes: int, per_part: int, num_parts: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which of the classes each part holds; one that nobody drew goes to a part drawn for it."""
    ranks = rng.random((num_parts, num_classes)).argsort(axis=1).argsort(axis=1)
    holds: NDArray[np.bool_] = ranks < per_part
    for label in np.flatnonzero(~holds.any(axis=0)):
        holds[rng.integers(num_parts), label] = True
    return holds


def _natural(group: NDArray[np.int64] | None, num_parts: int) -> list[Indices]:
    if group is None:
        raise ConfigurationError(
            "partition = 'natural' needs data with groups: an .npz with an array `group`."
        )
    groups = np.unique(group)
    if len(groups) < num_parts:
        raise ConfigurationError(
            f"partition = 'natural': {len(groups)} groups for {num_parts} participants; "
            f"start at most {len(groups)}."
        )
    holder = {value: index % num_parts for index, value in enumerate(groups.tolist())}
    of_case = np.array([holder[value] for value in group.tolist()])
    return [np.flatnonzero(of_case == part) for part in range(num_parts)]


def _topped_up(parts: list[Indices], least: int) -> list[Indices]:
    """Move cases from the largest part to those below `least`."""
    sizes = [len(part) for part in parts]
    while min(sizes) < least:
        poorest, richest = int(np.argmin(sizes)), int(np.argmax(sizes))
        parts[poorest] = np.append(parts[poorest], parts[richest][-1])
        parts[richest] = parts[richest][:-1]
        sizes = [len(part) for part in parts]
    return parts


def split_held_out(indices: Indices, seed: int, fraction: float = 0.2) -> tuple[Indices, Indices]:
    """A participant's training cases and the ones it keeps for examining (at least one).

    Raises
    ------
    ConfigurationError
        When there are fewer than two cases.
    """
    if len(indices) < 2:
        raise ConfigurationError(
            f"a participant holds {len(indices)} case(s), and needs one to train on and one "
            "to examine with: use fewer participants or another partition."
        )
    shuffled = np.random.default_rng([seed, 78]).permutation(indices)
    size = max(1, int(fraction * len(indices)))
    return np.sort(shuffled[size:]), np.sort(shuffled[:size])

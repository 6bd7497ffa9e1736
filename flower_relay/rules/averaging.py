"""Averages of weights: the trail that is published, lanes that meet, steps transplanted.

Only floating-point arrays are averaged; counters (such as BatchNorm's) are taken from
the newest model, because half a batch is not a number of batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .candidates import shortened, way_moved
from .pieces import pieces

__all__ = ["evened", "extend_trail", "fresh_part", "transplant", "weighted_average"]

Arrays = Mapping[str, NDArray[Any]]


def fresh_part(share: float, num_before: int) -> float:
    """What the next baton weighs in the average of about the latest share of batons.

    1 / (1 + share · n) after n of them, as in the polynomial-decay average of Shamir and Zhang
    (2013), whose η is 1 / share − 1. So the average follows a young run closely, and smooths an
    old one.

    Parameters
    ----------
    share : float
        0 to 1; with 0 the baton is the average, with 1 all batons count alike.
    num_before : int
        Batons in the average so far; with 0 the baton is the average.
    """
    return 1 / (1 + share * num_before)


def extend_trail(trail: Arrays, baton: Arrays, share: float, num_before: int) -> dict[str, Any]:
    """The average of about the latest share of batons, one baton further.

    The genesis model has no part in it.

    Parameters
    ----------
    trail, baton : mapping of name to array
        The average so far, and the next baton.
    share, num_before : float, int
        As in `fresh_part`.
    """
    fresh = fresh_part(share, num_before)
    return weighted_average([trail, baton], [1 - fresh, fresh])


def transplant(reference: Arrays, base: Arrays, model: Arrays, weight: float) -> dict[str, Any]:
    """A model with a hop's step added: reference + weight · (model − base); counters stay.

    Parameters
    ----------
    reference, base, model : mapping of name to array
        What the step is added to, and the hop's two ends.
    weight : float
        The part of the step that is added.
    """
    return {
        name: _stepped(array, base[name], model[name], weight)
        if np.issubdtype(array.dtype, np.inexact)
        else array
        for name, array in reference.items()
    }


def _stepped(
    array: NDArray[Any], base: NDArray[Any], model: NDArray[Any], weight: float
) -> NDArray[Any]:
    """Where the step has no length (the same infinity at both ends) nothing is added."""
    made = np.array(array, order="C")
    for now, start, end in pieces(made, base, model):
        with np.errstate(invalid="ignore"):
            step = np.asarray(weight, array.dtype) * (end - start)
        now += np.where(end == start, np.zeros_like(step), step)
    return made


def evened(base: Arrays, models: Sequence[Arrays]) -> list[Arrays]:
    """Models none of which is further from their base than the median one; counters stay.

    A mean belongs to whoever takes the longest step. A hop that the committee lets pass may be
    several times as long as the others: with 40 % who flip signs, hide it by lying and step four
    times as far, the mean of accepted hops pointed backwards (docs/how-to/lanes.md).
    """
    ways = [way_moved(model, base) for model in models]
    most = float(np.median(ways))
    return [
        shortened(base, model, most / way) if way > most else model
        for model, way in zip(models, ways, strict=True)
    ]


def weighted_average(models: Iterable[Arrays], weights: Sequence[float]) -> dict[str, Any]:
    """The average of models of one shape, weights summing to 1, counters from the last.

    Models are taken one by one: those that are read as they are asked for are never all held.
    """
    averaged: dict[str, Any] = {}
    for model, weight in zip(models, weights, strict=True):
        for name, array in model.items():
            if not np.issubdtype(array.dtype, np.inexact):
                averaged[name] = array
                continue
            total = averaged.setdefault(name, np.zeros(array.shape, array.dtype))
            # A weight of nothing takes no part: nothing times infinity is no number.
            for now, part in pieces(total, array) if weight else ():
                now += part * np.asarray(weight, array.dtype)
    return averaged

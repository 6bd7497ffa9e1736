"""Candidates: whether what a trainer handed in is a hop at all, and what is taken of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .outcomes import Fault

__all__ = [
    "MOVES_KEPT",
    "Flaw",
    "farthest",
    "fitting",
    "flaw_of",
    "oversized",
    "shortened",
    "unlike",
    "way_moved",
]


Arrays = Mapping[str, NDArray[Any]]


_PART = 1 << 18
"""Numbers that are compared at a time."""

_STILL = 1e-6
"""A change smaller than this part of the weights is none: it takes a few low bits to look new."""


_FURTHER, _ENOUGH = 10.0, 10
"""A hop may move as many times the median of the latest ones, once there are so many of them."""

MOVES_KEPT = 40
"""Hops by which it is known how far hops move: about two cycles of twenty."""

_DIGITS = 6
"""Digits of a way that are kept: the last bits of a sum differ between machines."""


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """What is wrong with a candidate: the kind of fault, and where it was first seen."""

    fault: Fault
    reason: str


def flaw_of(candidate: Arrays, base: Arrays) -> Flaw | None:
    """Why a candidate must not reach the examiners, or None.

    Only what differs from the base is judged, array by array. Constant buffers (masks of
    minus infinity, tables, a frozen backbone) neither hide a small change nor are faults.

    Returns
    -------
    Flaw or None
        `mis-shaped` (names, shapes or types differ), `non-finite` (NaN or infinity that the
        base does not have there) or `unchanged` (nothing but low bits differs from the base).
        Copies of other models are found by their hash, not here.
    """
    if (reason := unlike(candidate, base)) is not None:
        return Flaw(fault=Fault.MIS_SHAPED, reason=reason)
    moved = False
    for name, array in candidate.items():
        for now, before in _differing(array, base[name]):
            if array.dtype.kind not in "fc":
                moved = True
            elif not np.isfinite(now).all():
                reason = f"array '{name}' holds NaN or infinity"
                return Flaw(fault=Fault.NON_FINITE, reason=reason)
            else:
                moved = moved or _beyond_rounding(now, before)
    if moved:
        return None
    return Flaw(
        fault=Fault.UNCHANGED, reason="no array differs from the base by more than rounding"
    )


def _differing(
    array: NDArray[Any], base: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """What differs of an array and its base, part by part: large arrays are not copied whole."""
    flat, before = array.reshape(-1), base.reshape(-1)
    for start in range(0, flat.size, _PART):
        part, was = flat[start : start + _PART], before[start : start + _PART]
        changed = part != was  # NaN differs from everything
        if changed.any():
            yield part[changed], was[changed]


def way_moved(candidate: Arrays, base: Arrays) -> float:
    """How far a candidate is from its base: the Euclidean norm over all floats, to six digits.

    Where one of the two is not finite there is no way between them, and none is counted.
    """
    scale = max((float(part.max()) for part in _distances(candidate, base)), default=0.0)
    if scale == 0:
        return 0.0
    # Squares of large numbers overflow: distances are squared as parts of the largest.
    squares = sum(float(np.square(part / scale).sum()) for part in _distances(candidate, base))
    way = min(scale * float(np.sqrt(squares)), float(np.finfo(np.float64).max))
    return float(f"{way:.{_DIGITS}g}")


def _distances(candidate: Arrays, base: Arrays) -> Iterator[NDArray[np.float64]]:
    """How far apart the numbers are that differ, part by part."""
    for name, array in candidate.items():
        if array.dtype.kind not in "fc":
            continue
        wide = np.complex128 if array.dtype.kind == "c" else np.float64
        for now, before in _differing(array, base[name]):
            with np.errstate(invalid="ignore", over="ignore"):
                apart = np.abs(now.astype(wide) - before.astype(wide))
            yield np.where(np.isfinite(apart), apart, 0.0)


def farthest(moves: Sequence[float]) -> float:
    """How far a hop may move by what hops moved of late; infinity until enough have.

    All hops count, whatever became of them. Were it the accepted ones, hostile hops could be so
    small that every honest one is too large beside them; and none of these would be accepted again.

    Parameters
    ----------
    moves : sequence of float
        Ways of hops, as handed in.
    """
    return _FURTHER * float(np.median(moves)) if len(moves) >= _ENOUGH else float("inf")


def oversized(way: float, most: float) -> Flaw | None:
    """Why a hop that moves so far is none, or None.

    Nobody's training moves a model so much further than everybody else's. Weights blown up like
    that can leave a metric as it is, and whoever trains on them next without a number.
    """
    if way <= most:
        return None
    reason = f"it moves the model by {way:.3g}, and at most {most:.3g} is possible now"
    return Flaw(fault=Fault.OVERSIZED, reason=f"{reason}: ten times what hops moved of late")


def unlike(candidate: Arrays, base: Arrays) -> str | None:
    """The first difference between two models' names, shapes or types, in words; or None."""
    missing, extra = sorted(base.keys() - candidate.keys()), sorted(candidate.keys() - base.keys())
    if missing or extra:
        absent = f"array '{missing[0]}' is missing" if missing else "nothing is missing"
        more = f"array '{extra[0]}' is not one of the model's" if extra else "nothing is new"
        return f"{absent}, {more} ({len(missing)} missing, {len(extra)} new)"
    for name, array in candidate.items():
        expected = base[name]
        if array.shape != expected.shape:
            return f"array '{name}': expected shape {expected.shape}, found {array.shape}"
        if array.dtype != expected.dtype:
            return f"array '{name}': expected type {expected.dtype}, found {array.dtype}"
    return None


def fitting(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """An array as another type, or None where training could see what the cast loses.

    Floats become floats of at least 32 bits: a library's own precision is no fault. Integers
    become integers that can hold every value.
    """
    if array.dtype == dtype:
        return array
    kinds = array.dtype.kind, dtype.kind
    if kinds == ("f", "f") and dtype.itemsize >= min(4, array.dtype.itemsize):
        with np.errstate(over="ignore"):
            return array.astype(dtype)
    if kinds[0] in "iu" and kinds[1] in "iu":
        cast = array.astype(dtype)
        # Signed and unsigned numbers of 64 bits have no type in common: compare by sign, too.
        same = (cast.astype(array.dtype) == array) & ((cast < 0) == (array < 0))
        return cast if same.all() else None
    return None


def _beyond_rounding(now: NDArray[Any], before: NDArray[Any]) -> bool:
    """Whether numbers differ by more than a few low bits of them."""
    wide = np.complex128 if now.dtype.kind == "c" else np.float64
    if not np.isfinite(before).all():
        return True  # an infinity became a number
    scale = float(np.abs(before).max(initial=0.0)) or 1.0  # squares of large numbers overflow
    with np.errstate(over="ignore"):
        one, other = now.astype(wide) / scale, before.astype(wide) / scale
        change = float(np.square(np.abs(one - other)).sum())
    return change > _STILL**2 * float(np.square(np.abs(other)).sum())


def shortened(base: Arrays, candidate: Arrays, stride: float) -> dict[str, NDArray[Any]]:
    """The base and a part of the way to a candidate; counters are the candidate's."""
    return {
        name: _between(base[name], array, stride)
        if np.issubdtype(array.dtype, np.inexact)
        else array
        for name, array in candidate.items()
    }


def _between(base: NDArray[Any], end: NDArray[Any], stride: float) -> NDArray[Any]:
    """A part of the way from one array to another, made piece by piece: arrays may be large."""
    made = np.array(end, order="C")
    flat, before = made.reshape(-1), base.reshape(-1)
    with np.errstate(invalid="ignore"):
        for start in range(0, flat.size, _PART):
            now, was = flat[start : start + _PART], before[start : start + _PART]
            half = now / 2 - was / 2  # the whole of it may be too large a number
            part = np.asarray(was + 2 * stride * half, end.dtype)
            # Where both have the same infinity there is no way between them.
            flat[start : start + _PART] = np.where(np.isfinite(part), part, now)
    return made

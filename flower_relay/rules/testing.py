"""Testing: who examines, what a vote is, and what the committee decides.

DeRelayL step 6. A vote is the change of a bounded utility, so that no single case and
no single examiner can drown the others; the verdict is the bond-weighted median.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Flaw",
    "LegVerdict",
    "bounded_utility",
    "draw_committee",
    "fitting",
    "flaw_of",
    "judge_leg",
    "mean_step",
    "shortened",
    "unlike",
    "weighted_median",
]

Arrays = Mapping[str, NDArray[Any]]

_LEG = 2.0
"""Tolerances by which a whole leg may fall: its hops may each fall by one, but not add up."""

_MOST_SAID = 3.0
"""How many of its usual votes on a step an examiner can say at once."""

_STILL = 1e-6
"""A change smaller than this part of the weights is none: it takes a few low bits to look new."""


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """What is wrong with a candidate: the kind of fault, and where it was first seen."""

    fault: str
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
        return Flaw(fault="mis-shaped", reason=reason)
    moved = False
    for name, array in candidate.items():
        changed = array != base[name]  # NaN differs from everything
        if not changed.any():
            continue
        now, before = array[changed], base[name][changed]
        if array.dtype.kind not in "fc":
            moved = True
            continue
        if not np.isfinite(now).all():
            return Flaw(fault="non-finite", reason=f"array '{name}' holds NaN or infinity")
        moved = moved or _beyond_rounding(now, before)
    if moved:
        return None
    return Flaw(fault="unchanged", reason="no array differs from the base by more than rounding")


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
    with np.errstate(invalid="ignore"):
        half = end / 2 - base / 2  # the whole of it may be too large a number
        part = np.asarray(base + 2 * stride * half, end.dtype)
    # Where both have the same infinity there is no way between them.
    return np.where(np.isfinite(part), part, end) if not np.isfinite(part).all() else part


def draw_committee(
    eligible: NDArray[np.int64], size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw at most `size` examiners, each eligible participant equally likely."""
    drawn = rng.choice(eligible, size=min(size, len(eligible)), replace=False)
    return np.sort(drawn)


def bounded_utility(value: float, bound: float, rises: bool) -> float:
    """A metric as a utility between 0 (as bad as counts) and 1.

    A loss is clipped to [0, bound] and turned over; a metric that rises is clipped to
    the same interval. What is not a number is as bad as counts.
    """
    share = float(np.clip(value / bound, 0.0, 1.0)) if np.isfinite(value) else float(not rises)
    return share if rises else 1.0 - share


def weighted_median(votes: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The vote at which half of the weight lies on either side; NaN if nobody voted.

    Abstentions (NaN) do not count. Where nobody who voted has weight (a committee of
    newcomers only) all weigh the same. At an exact half the two neighbours are averaged.
    """
    values, mass = _voted(votes, weights)
    if not len(values):
        return float("nan")
    order = np.argsort(values, kind="stable")
    values, below = values[order], np.cumsum(mass[order]) / mass.sum()
    first = int(np.searchsorted(below, 0.5 - 1e-12))
    if abs(below[first] - 0.5) <= 1e-12 and first + 1 < len(values):
        heavier = first + 1 + int(np.argmax(mass[order][first + 1 :] > 0))
        return float((values[first] + values[heavier]) / 2)
    return float(values[first])


def mean_step(
    votes: NDArray[np.float64], weights: NDArray[np.float64], usual: NDArray[np.float64]
) -> float:
    """What a step is worth to all examiners together, none of whom says more than another.

    The weighted mean of votes, each in units of its examiner's usual one, and at most three of
    those; in units of the usual vote of the middle of them. A median says what a step is worth to
    the middle itself: with very unusual data an honest step helps a few much and costs most a
    little, and a free rider's costs nobody anything. A mean of votes as they are belongs to
    whoever exaggerates.

    Parameters
    ----------
    votes, weights : arrays of shape (examiners,)
        A vote of NaN is an abstention.
    usual : array of shape (examiners,)
        Root mean squares of each one's votes on steps; 0 for who never saw a difference.

    Returns
    -------
    float
        NaN if nobody voted.
    """
    values, mass = _voted(votes, weights)
    if not len(values):
        return float("nan")
    own = usual[~np.isnan(votes)]
    differ = own > 0
    if not differ.any():
        return 0.0
    said = np.divide(values, own, out=np.zeros_like(values), where=differ)
    bounded = np.clip(said, -_MOST_SAID, _MOST_SAID)
    return float(np.average(bounded, weights=mass) * np.median(own[differ]))


def _voted(
    votes: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The votes that are not abstentions, and their weights: alike where nobody has any."""
    voted = ~np.isnan(votes)
    values, mass = votes[voted], weights[voted]
    return values, mass if mass.sum() > 0 else np.ones_like(values)


@dataclass(frozen=True, kw_only=True)
class LegVerdict:
    """What the committee decided about one leg of k hops.

    Attributes
    ----------
    passed : bool or None
        Whether the whole leg passed; None when nobody voted.
    kept : int
        Length of the recognised prefix.
    culprits : tuple of int
        Positions of the hops that are blamed, latest first.
    rises : tuple of float
        For the base's successor at each position, the committee's median rise over the
        leg's base; NaN where nobody judged that model.
    votes : tuple of float
        Each hop's own (marginal) vote; where nobody judged a hop, the even share of the
        leg's; NaN when nobody voted.
    """

    passed: bool | None
    kept: int
    culprits: tuple[int, ...]
    rises: tuple[float, ...]
    votes: tuple[float, ...]


def judge_leg(
    utilities: NDArray[np.float64],
    weights: NDArray[np.float64],
    tolerance: float,
    patience: Sequence[float],
) -> LegVerdict:
    """Judge a leg from the utilities of its base and of each hop's model.

    Parameters
    ----------
    utilities : array of shape (hops + 1, examiners)
        Row 0 is the base.
    weights : array of shape (examiners,)
        Bonds.
    tolerance : float
        A hop passes when its vote is at least −tolerance times its patience, a leg (and each
        prefix) when moreover its median rise is at least −2 · tolerance.
    patience : sequence of float
        The part of the tolerance that each hop has (`standing.patience_with`).

    Notes
    -----
    All hops of a leg are measured, not only its end: what an attacker does inside a leg
    that passes as a whole would else be shared by all of it. The culprit is the hop with
    the lowest marginal median vote, not the first below the line (measured: 4 honest hops
    blamed against 11, design section 2). The prefix before it is judged again, so that two
    attackers in a leg are both found.
    """
    num_hops = len(utilities) - 1
    rises = _medians(utilities[1:] - utilities[0], weights)
    whole = rises[-1] if num_hops else float("nan")
    marginals = _medians(np.diff(utilities, axis=0), weights)
    if np.isnan(whole):
        unknown = tuple(float("nan") for _ in range(num_hops))
        return LegVerdict(passed=None, kept=0, culprits=(), rises=rises, votes=unknown)
    votes = tuple(whole / num_hops if np.isnan(vote) else vote for vote in marginals)
    fails = [vote < -tolerance * part for vote, part in zip(votes, patience, strict=True)]
    kept, culprits = num_hops, []
    while kept > 0 and (any(fails[:kept]) or rises[kept - 1] < -_LEG * tolerance):
        kept = int(np.argmin([v / p for v, p in zip(votes[:kept], patience[:kept], strict=True)]))
        culprits.append(kept)
    return LegVerdict(
        passed=not culprits, kept=kept, culprits=tuple(culprits), rises=rises, votes=votes
    )


def _medians(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(weighted_median(row, weights) for row in rows)

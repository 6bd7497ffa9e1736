"""Audits: what a step is worth to all examiners together, and what each one's word counts.

An audit shows a part of a hop's step on a base that the hops of a cycle have in common. Each
of its examiners has just voted on the whole of that hop. Whoever says of the part what it did
not say of the whole says it to move pay: nobody has to know the truth, or to be believed, for
that to show. docs/contribution.md has the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .votes import voted

__all__ = ["mean_step", "middle_size", "repeated", "stakes", "trust"]

_MOST_SAID = 3.0
"""How many of its usual votes on a step an examiner can say at once."""

_NOTHING = 1e-12
"""Votes below this, as fractions of the utility's bound, are what rounding left."""

_BENEFIT = 4
"""Audits for which an examiner is taken to be as coherent as is usual."""

_ENOUGH = 2 / 3
"""The part of the usual coherence with which a word counts wholly: so much honest ones differ."""

_EXPONENT = 4
"""How fast a word loses its weight below that: half of it counts a sixteenth."""


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
        NaN if nobody with weight voted.
    """
    values, mass = voted(votes, weights)
    if not mass.sum() > 0:
        return float("nan")
    own = usual[~np.isnan(votes)]
    differ = own > 0
    if not differ.any():
        return 0.0
    said = np.divide(values, own, out=np.zeros_like(values), where=differ)
    bounded = np.clip(said, -_MOST_SAID, _MOST_SAID)
    return float(np.average(bounded, weights=mass) * np.median(own[differ]))


def middle_size(votes: Iterable[NDArray[np.float64]]) -> float:
    """The median size of a round's votes on hops; 0 where there is none."""
    sizes = np.abs(np.concatenate([*votes, np.zeros(0)]))
    sizes = sizes[~np.isnan(sizes)]
    return float(np.median(sizes)) if len(sizes) else 0.0


def repeated(
    part: NDArray[np.float64], whole: NDArray[np.float64], usual: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """What one audit adds to what is known of its examiners' coherence.

    Parameters
    ----------
    part : array of shape (examiners,)
        Each one's vote on the audited part of a step; NaN is an abstention.
    whole : array of shape (examiners,)
        Its vote on the hop.
    usual : float
        The middle size of the committee's votes on hops in that round. An audit counts as much as
        that: if all counted alike, rounding would tell of honest examiners where next to nothing
        is learned, and if squares counted as they are, the first few votes would tell for ever.

    Returns
    -------
    tuple of four arrays of shape (examiners,)
        Squares of votes on the part, squares of votes on the whole, their products, and whether
        it counts: nothing said of either says nothing.
    """
    known = ~np.isnan(part) & ~np.isnan(whole) & ((part != 0) | (whole != 0))
    if usual < _NOTHING:
        known = np.zeros_like(known)
    one, other = np.where(known, part, 0.0), np.where(known, whole, 0.0)
    unit = max(usual, _NOTHING)
    return one**2 / unit, other**2 / unit, one * other / unit, known.astype(np.int64)


def trust(
    part_squares: NDArray[np.float64],
    whole_squares: NDArray[np.float64],
    products: NDArray[np.float64],
    audits: NDArray[np.int64],
) -> NDArray[np.float64]:
    """What each one's word in audits counts, between 0 and 1.

    Coherence is the correlation, about zero, of votes on parts of steps with votes on the whole
    of them. It is compared with that of the middle participant, so that it needs no unit, and
    asks of nobody more than others show.

    Parameters
    ----------
    part_squares, whole_squares, products : arrays of shape (participants,)
        Sums of what `repeated` gives.
    audits : integer array of shape (participants,)
        How many were counted.
    """
    sizes = np.sqrt(part_squares * whole_squares)
    coherence = np.divide(products, sizes, out=np.zeros_like(products), where=sizes > 0)
    heard = audits > 0
    usual = float(np.median(coherence[heard])) if heard.any() else 0.0
    if usual <= 0:  # nobody's part tells of the whole: nothing to compare with
        return np.ones_like(coherence)
    shrunk = (audits * coherence + _BENEFIT * usual) / (audits + _BENEFIT)
    counted: NDArray[np.float64] = np.clip(shrunk / (_ENOUGH * usual), 0.0, 1.0) ** _EXPONENT
    return counted


def stakes(
    bonds: NDArray[np.float64], began: NDArray[np.float64], trusted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The part of its points that each trainer is paid for: what its word as an examiner counts.

    What lying gains comes from audits and not from fees, so that trainers' own pay has to be at
    stake.

    Parameters
    ----------
    bonds : array of shape (participants,)
    began : array of shape (participants,)
        The bond that each began with: who joined later has little, through no fault of its own.
    trusted : array of shape (participants,)
        As `trust` has it.
    """
    kept: NDArray[np.float64] = np.minimum(1.0, bonds / began) * trusted
    return kept

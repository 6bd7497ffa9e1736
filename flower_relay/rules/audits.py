"""Audits: what a step is worth to all examiners together, and what each one's word counts.

An audit shows a part of a hop's step on a base that the hops of a cycle have in common. Each
of its examiners has just voted on the whole of that hop. Whoever says of the part what it did
not say of the whole says it to move pay: nobody has to know the truth, or to be believed, for
that to show. Whoever lies about both contradicts the others on the hop, and so loses bond.
docs/contribution.md has the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .votes import voted

__all__ = [
    "AUDITED_PART", "compared", "concordance", "mean_step", "middle_size", "word",
]  # fmt: skip

AUDITED_PART = 0.1
"""The part of a hop's step that an audit shows."""

_MOST_SAID = 3.0
"""How many of its usual votes on a step an examiner can say at once."""

_NOTHING = 1e-12
"""Votes below this, as fractions of the utility's bound, are what rounding left."""

_BENEFIT = 4
"""Votes for which an examiner is taken to be as is usual."""

_COHERENT = 2 / 3
"""The part of the usual with which a word counts wholly: honest ones differ by about so much."""

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


def compared(
    said: NDArray[np.float64], held_against: NDArray[np.float64], usual: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """What one vote of each examiner adds to what is known of it.

    Parameters
    ----------
    said : array of shape (examiners,)
        Votes; NaN is an abstention.
    held_against : array of shape (examiners,)
        What they are compared with.
    usual : float
        The middle size of the committee's votes on hops in that round. A vote counts as much as
        that: if all counted alike, rounding would tell of honest examiners where next to nothing
        is learned, and if squares counted as they are, the first few votes would tell for ever.

    Returns
    -------
    tuple of four arrays of shape (examiners,)
        Squares of either, their products, and whether it counts: nothing beside nothing says
        nothing.
    """
    known = ~np.isnan(said) & ~np.isnan(held_against) & ((said != 0) | (held_against != 0))
    if usual < _NOTHING:
        known = np.zeros_like(known)
    one, other = np.where(known, said, 0.0), np.where(known, held_against, 0.0)
    unit = max(usual, _NOTHING)
    return one**2 / unit, other**2 / unit, one * other / unit, known.astype(np.int64)


def concordance(
    squares: NDArray[np.float64], others: NDArray[np.float64], products: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far what was said *is* what it is held against: 1 for all of it, 0 for none.

    Lin's coefficient about zero: unlike a correlation, it falls with loudness, too.
    """
    sizes = (squares + others) / 2
    return np.divide(products, sizes, out=np.zeros_like(products), where=sizes > 0)


def word(coherence: NDArray[np.float64], counted: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each one's word counts, between 0 and 1, by its coherence beside the middle one's.

    It so needs no unit, and asks of nobody more than others show.

    Parameters
    ----------
    coherence : array of shape (participants,)
        As `concordance` has it.
    counted : integer array of shape (participants,)
        Votes behind it; who has none is as is usual.
    """
    heard = counted > 0
    usual = float(np.median(coherence[heard])) if heard.any() else 0.0
    if usual <= _NOTHING:  # nobody's tells anything: nothing to compare with
        return np.ones_like(coherence)
    shrunk = (counted * coherence + _BENEFIT * usual) / (counted + _BENEFIT)
    counts: NDArray[np.float64] = np.clip(shrunk / (_COHERENT * usual), 0.0, 1.0) ** _EXPONENT
    return counts

"""Large arrays piece by piece, so that nothing made on the way is as large as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PIECE", "pieces"]

PIECE = 1 << 18
"""Numbers that are worked on at a time."""


def pieces(*arrays: NDArray[Any]) -> Iterator[tuple[NDArray[Any], ...]]:
    """Arrays of one size, flat and piece by piece.

    A piece of an array whose numbers lie in order is a view: what is written to it is written to
    the array.
    """
    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, PIECE):
        yield tuple(array[start : start + PIECE] for array in flat)

"""What participants reported about a model: by whom, and what; few of many judge a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Reports", "added", "gathered", "spread"]

Reports = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Indices of those who reported a utility, and what each did."""


def gathered(row: NDArray[np.float64]) -> Reports:
    """The reports in a row over all participants, in which NaN is none."""
    who = np.flatnonzero(~np.isnan(row))
    return who, row[who]


def added(reports: Reports | None, who: Sequence[int], said: Sequence[float | None]) -> Reports:
    """Reports with further ones: None is none, also where there was one before."""
    known = {} if reports is None else dict(zip(*(each.tolist() for each in reports), strict=True))
    known |= zip(who, said, strict=True)
    heard = {index: value for index, value in known.items() if value is not None}
    return np.array([*heard], dtype=np.int64), np.array([*heard.values()], dtype=np.float64)


def spread(reports: Reports | None, size: int) -> NDArray[np.float64]:
    """A row over `size` participants; NaN for who reported nothing."""
    row = np.full(size, np.nan)
    if reports is not None:
        who, said = reports
        row[who] = said
    return row

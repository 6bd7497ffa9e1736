"""The report of a comparison: one HTML page that needs nothing else.

It reads the results folder of a comparison (`folder`), puts the cells in order
(`panels`), and draws what is there; a section without data is left out. The page asks
the network for nothing, and its Content-Security-Policy forbids it to.
"""

from __future__ import annotations

from pathlib import Path

from .page import render
from .folder import read_results

__all__ = ["write_comparison_page"]

from ...durable import write_whole

PAGE = "report.html"


def write_comparison_page(results_dir: Path) -> Path:
    """Write `report.html` into a folder of comparison results.

    Parameters
    ----------
    results_dir : Path
        The folder that a comparison wrote.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ResultsError
        Where the folder holds no finished cell, or a file that cannot be read.
    """
    page = results_dir / PAGE
    write_whole(page, render(read_results(results_dir)).encode("utf-8"))
    return page

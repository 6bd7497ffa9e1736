"""The report of a comparison: one HTML page that needs nothing else.

It puts a comparison's contests in order (`panels`), turns each section into places and
texts, and fills the page's templates with them (`page`); a section without data is left
out. The numbers are `flower_relay.comparison`'s, so that page and tables agree. The page
asks the network for nothing, and its Content-Security-Policy forbids it to.
"""

from __future__ import annotations

from pathlib import Path

from ...files.durable import write_whole
from ..files import read_results
from .page import render

__all__ = ["write_comparison_page"]

_PAGE = "report.html"


def write_comparison_page(results_dir: Path) -> Path:
    """Write `report.html` into a comparison's folder.

    Parameters
    ----------
    results_dir : Path
        The folder, as `flower-relay compare run` writes it; what is not in it (an attack,
        a truth experiment, the tuning) is left out of the page.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ConfigurationError
        Where the folder holds no comparison, or a file of it cannot be read.
    """
    page = results_dir / _PAGE
    write_whole(page, render(results_dir, read_results(results_dir)).encode("utf-8"))
    return page

"""One table: as Markdown, as Parquet and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from rich import table as rich_table

from ..files.durable import make_folder, write_whole
from .figures import NOTHING
from .statistics import ENOUGH, Interval

__all__ = ["SHARE", "Table", "Value", "write_tables"]

Value: TypeAlias = str | int | Interval

_PLACES = ("data", "partition", "attack")
"""Columns that say where a row was measured."""

SHARE = "share"
"""The spelling of a share of what there is to learn, which says where that is nothing."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows with the same columns.

    Attributes
    ----------
    name : str
        Of its files.
    note : str
        How to read it.
    spelling : mapping of column to format
        Of columns that hold intervals.
    """

    name: str
    title: str
    note: str
    rows: Sequence[Mapping[str, Value]]
    spelling: Mapping[str, str]

    def shown(self, row: Mapping[str, Value]) -> list[str]:
        """A row as text."""
        return [
            _spelled(value, self.spelling[column]) if isinstance(value, Interval) else str(value)
            for column, value in row.items()
        ]

    @property
    def warning(self) -> str:
        """That its medians are of few seeds, where they are."""
        counts = [
            value.count
            for row in self.rows
            for column, value in row.items()
            if isinstance(value, Interval) and value.few and column not in _OF_ONE
        ]
        if not counts:
            return ""
        least = "one seed" if min(counts) == 1 else f"{min(counts)} seeds"
        return (
            f"Few seeds: some of these are of {least} only, and {ENOUGH} are the least to rely on."
        )

    def markdown(self) -> str:
        """As Markdown, with its title and its note."""
        head = list(self.rows[0])
        lines = [head, ["---"] * len(head), *(self.shown(row) for row in self.rows)]
        body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        note = " ".join(filter(None, (self.note, self.warning)))
        return f"## {self.title}\n\n{note}\n\n{body}\n"

    def rich(self) -> rich_table.Table:
        """For the terminal, where room is scarce: what all rows share goes into the title."""
        same = {
            column: value
            for column, value in self.rows[0].items()
            if column in _PLACES and all(row[column] == value for row in self.rows)
        }
        title = ", ".join([self.title, *map(str, same.values())])
        columns = [column for column in self.rows[0] if column not in same]
        table = rich_table.Table(
            *columns, title=title, title_justify="left", caption=self.warning or None
        )
        for row in self.rows:
            table.add_row(*self.shown({column: row[column] for column in columns}))
        return table

    def arrow(self) -> pa.Table:
        """As columns; an interval is three of them, and the number of its seeds a fourth."""
        return pa.Table.from_pylist([_flat(row) for row in self.rows])


_OF_ONE = ("worst seed",)
"""Columns that are of one seed by what they mean."""


def _spelled(value: Interval, spelling: str) -> str:
    if spelling != SHARE:
        return value.shown(spelling)
    text = value.shown(".2f")
    return f"nothing was learned ({text})" if value.known and value.median <= NOTHING else text


def _flat(row: Mapping[str, Value]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for column, value in row.items():
        if isinstance(value, Interval):
            flat |= {
                column: value.median,
                f"{column} low": value.low,
                f"{column} high": value.high,
                f"{column} seeds": value.count,
            }
        else:
            flat[column] = value
    return flat


def write_tables(folder: Path, tables: Sequence[Table]) -> list[Path]:
    """Write `tables/NAME.md` and `tables/NAME.parquet`; the paths written."""
    place = folder / "tables"
    make_folder(place)
    paths: list[Path] = []
    for table in tables:
        paths += [place / f"{table.name}.md", place / f"{table.name}.parquet"]
        write_whole(paths[-2], table.markdown().encode())
        pq.write_table(table.arrow(), paths[-1])
    return paths

"""A comparison's tables, as Markdown, as Parquet and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from rich import table as rich_table

from ..durable import make_folder, write_whole
from .contests import Contest, best_rival, contests, target_of
from .detection import detection_row, is_relay
from .figures import AXES
from .files import Results
from .statistics import Interval, difference, median, ratio

__all__ = ["Table", "tables_of", "write_tables"]

Value: TypeAlias = str | int | Interval

_PLACES = ("data", "partition", "attack")
"""Columns that say where a row was measured."""

_MEGA = 1e6


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
            value.shown(self.spelling[column]) if isinstance(value, Interval) else str(value)
            for column, value in row.items()
        ]

    def markdown(self) -> str:
        """As Markdown, with its title and its note."""
        head = list(self.rows[0])
        lines = [head, ["---"] * len(head), *(self.shown(row) for row in self.rows)]
        body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"## {self.title}\n\n{self.note}\n\n{body}\n"

    def rich(self) -> rich_table.Table:
        """For the terminal, where room is scarce: what all rows share goes into the title."""
        same = {
            column: value
            for column, value in self.rows[0].items()
            if column in _PLACES and all(row[column] == value for row in self.rows)
        }
        title = ", ".join([self.title, *map(str, same.values())])
        columns = [column for column in self.rows[0] if column not in same]
        table = rich_table.Table(*columns, title=title, title_justify="left")
        for row in self.rows:
            table.add_row(*self.shown({column: row[column] for column in columns}))
        return table

    def arrow(self) -> pa.Table:
        """As columns; an interval is three of them, and the number of its seeds a fourth."""
        return pa.Table.from_pylist([_flat(row) for row in self.rows])


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


def tables_of(results: Results) -> list[Table]:
    """Every table that the cells of a folder can fill."""
    found = contests(results.cells)
    clean = {(c.data, c.partition): c for c in found if not c.attack}
    highest = float(results.plan["target"])
    tables = [
        _to_target([c for c in found if not c.attack], highest),
        _at_equal_budget(found),
        _price_of_the_gate(list(clean.values())),
        _under_attack([c for c in found if c.attack], clean),
        _detection(found),
        _fairness(found),
    ]
    return [table for table in tables if table.rows]


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


def _to_target(found: Sequence[Contest], highest: float) -> Table:
    rows: list[dict[str, Value]] = []
    for contest in found:
        target = target_of(contest, highest)
        rival = best_rival(contest, "epochs", target)
        for strategy, cells in contest.cells.items():
            rows.append(
                {
                    **contest.where,
                    "target": f"{target:.2f}",
                    "strategy": strategy,
                    "reached": f"{contest.reached(strategy, target)} of {len(cells)}",
                    **_spent(contest, strategy, target, rival),
                }
            )
    return Table(
        name="cost_to_target",
        title="What it costs to reach an accuracy, nobody hostile",
        note="Medians over seeds with 95 % bootstrap intervals; a seed that never gets there "
        "counts with its whole run. The rival is the averaging strategy with the fewest "
        "client-epochs. Seconds are of simulated fleets.",
        rows=rows,
        spelling={
            "client-epochs": ".0f", "of the best rival's": ".2f", "megabytes": ".1f",
            "of FedAvg's": ".2f", **{axis: ",.1f" for axis in AXES if axis.startswith("seconds")},
        },
    )  # fmt: skip


def _spent(contest: Contest, strategy: str, target: float, rival: str | None) -> dict[str, Value]:
    epochs, sent = (contest.spent(strategy, axis, target) for axis in ("epochs", "bytes"))
    row: dict[str, Value] = {"client-epochs": median(epochs)}
    if rival is not None:
        row["of the best rival's"] = ratio(epochs, contest.spent(rival, "epochs", target))
    row["megabytes"] = median([value / _MEGA for value in sent.values()])
    if "fedavg" in contest.cells:
        row["of FedAvg's"] = ratio(sent, contest.spent("fedavg", "bytes", target))
    for axis in AXES:
        if axis.startswith("seconds"):
            row[axis] = median(contest.spent(strategy, axis, target))
    return row


def _at_equal_budget(found: Sequence[Contest]) -> Table:
    rows: list[dict[str, Value]] = []
    for contest in found:
        budgets = {axis: contest.common_budget(axis) for axis in AXES}
        for strategy in contest.cells:
            at = {
                f"equal {axis}": median(contest.accuracy_at(strategy, axis, budget))
                for axis, budget in budgets.items()
            }
            rows.append({**contest.where, "attack": contest.threat, "strategy": strategy, **at})
    return Table(
        name="final_accuracy",
        title="Accuracy at equal budgets",
        note="Mean of the last three of forty records; medians over seeds with 95 % bootstrap "
        "intervals. A budget of bytes or of a fleet's seconds is what the strategy that used "
        "least needed for its client-epochs.",
        rows=rows,
        spelling={f"equal {axis}": ".3f" for axis in AXES},
    )


def _price_of_the_gate(clean: Sequence[Contest]) -> Table:
    rows: list[dict[str, Value]] = [
        {
            **contest.where,
            "tested": median(contest.final("relay")),
            "untested": median(contest.final("relay-untested")),
            "tested minus untested": difference(
                contest.final("relay"), contest.final("relay-untested")
            ),
        }
        for contest in clean
        if {"relay", "relay-untested"} <= contest.cells.keys()
    ]
    return Table(
        name="price_of_the_gate",
        title="What testing costs when nobody is hostile",
        note="Final accuracy of the relay and of the same relay without examiners, and the "
        "median of their difference seed by seed.",
        rows=rows,
        spelling={"tested": ".3f", "untested": ".3f", "tested minus untested": "+.3f"},
    )


def _under_attack(attacked: Sequence[Contest], clean: Mapping[tuple[str, str], Contest]) -> Table:
    rows: list[dict[str, Value]] = []
    for contest in attacked:
        own = clean.get((contest.data, contest.partition))
        for strategy in contest.cells:
            final = contest.final(strategy)
            before = own.final(strategy) if own and strategy in own.cells else {}
            rows.append(
                {
                    **contest.where,
                    "attack": contest.threat,
                    "strategy": strategy,
                    "final accuracy": median(final),
                    "minus its own clean": difference(final, before),
                    "triggered cases fooled": median(contest.of(strategy, _fooled)),
                }
            )
    return Table(
        name="under_attack",
        title="Under attack",
        note="Final accuracy, and the median of its difference from the same strategy with "
        "nobody hostile, seed by seed. Cases with a trigger are counted for backdoors only.",
        rows=rows,
        spelling={
            "final accuracy": ".3f", "minus its own clean": "+.3f", "triggered cases fooled": ".2f",
        },
    )  # fmt: skip


def _fooled(found: Mapping[str, Any]) -> float:
    value = found["records"][-1]["backdoor"]
    return float("nan") if value is None else float(value)


def _detection(found: Sequence[Contest]) -> Table:
    rows: list[dict[str, Value]] = []
    for contest in found:
        for strategy, cells in contest.cells.items():
            if not all(is_relay(cell) for cell in cells.values()):
                continue
            row = {"attack": contest.threat, "strategy": strategy}
            rows.append({**contest.where, **row, **detection_row(contest, strategy)})
    return Table(
        name="detection",
        title="Who was found out, and who was paid",
        note="Precision: of the rejected hops, the hostile ones. Recall: of the hostile hops "
        "with a verdict, the rejected ones. Voided: undone by somebody else's hop. Rewards to "
        "hostile participants are relative to their share of the heads (1 is their share).",
        rows=rows,
        spelling={
            "precision": ".2f", "recall": ".2f", "hostile hops": ".1%",
            "honest hops rejected": ".1%", "honest hops voided": ".1%",
            "rewards to hostile, per head": ".2f",
        },
    )  # fmt: skip


def _fairness(found: Sequence[Contest]) -> Table:
    def final(key: str, inner: str | None = None) -> Any:
        def of(cell: Mapping[str, Any]) -> float:
            value = cell["final"].get(key)
            value = value.get(inner) if inner and value else value
            return float("nan") if value is None else float(value)

        return of

    figures = {
        "own data, worst": final("own_worst"),
        "own data, median": final("own_median"),
        "rounds stale, median": final("staleness", "median"),
        "rounds stale, worst": final("staleness", "worst"),
        "client-epochs stale, median": final("staleness_epochs", "median"),
        "client-epochs stale, worst": final("staleness_epochs", "worst"),
    }
    rows: list[dict[str, Value]] = [
        {
            **contest.where,
            "attack": contest.threat,
            "strategy": strategy,
            **{name: median(contest.of(strategy, figure)) for name, figure in figures.items()},
        }
        for contest in found
        for strategy in contest.cells
    ]
    return Table(
        name="fairness",
        title="Each participant's own side",
        note="The result's accuracy on the cases that each honest participant kept for "
        "examining, and how long ago, at the end, each participant was last sent a model.",
        rows=rows,
        spelling={name: ".3f" if "own" in name else ".1f" for name in figures},
    )

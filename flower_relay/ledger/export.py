"""A ledger for other programs: JSON Lines of its blocks, Parquet of balances and hops."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import LedgerError
from ..legible import legible
from ..mechanism.blocks import Settlement
from ..mechanism.state import State
from .reading import steps
from .sealed import SealedBlock

__all__ = ["export_ledger"]

_BALANCES = pa.schema(
    [
        ("round", pa.int64()), ("participant", pa.int64()), ("name", pa.string()),
        ("coins", pa.int64()), ("locked", pa.int64()), ("bond", pa.float64()),
        ("debt", pa.float64()), ("waits_until", pa.int64()), ("examined", pa.int64()),
    ]
)  # fmt: skip
_HOPS = pa.schema(
    [
        ("round", pa.int64()), ("lane", pa.int64()), ("position", pa.int64()),
        ("trainer", pa.int64()), ("name", pa.string()), ("base", pa.string()),
        ("model", pa.string()), ("outcome", pa.string()), ("vote", pa.float64()),
        ("gain", pa.float64()),
    ]
)  # fmt: skip

_ROWS_AT_ONCE = 50_000


class _Table:
    """A Parquet file that is written in groups of many rows."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema, self._rows = schema, list[dict[str, Any]]()
        self._writer = pq.ParquetWriter(path, schema)

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        self._rows.extend(rows)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._write()

    def _write(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._rows.clear()

    def __enter__(self) -> _Table:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write()
        self._writer.close()


def export_ledger(blocks: Iterable[SealedBlock], folder: Path) -> list[Path]:
    """Write `blocks.jsonl`, `balances.parquet` and `hops.parquet`; their paths.

    Amounts are units of 10⁻⁹ coins. A balance is that after the round's settlement.

    Parameters
    ----------
    blocks : iterable of SealedBlock
        The ledger.
    folder : pathlib.Path
        Made if it is not there.

    Raises
    ------
    LedgerError
        When the ledger cannot be read, or nothing can be written there.
    """
    try:
        return _export(blocks, folder)
    except OSError as problem:
        raise LedgerError(
            f"the ledger cannot be exported to {legible(str(folder))}: {problem.strerror}. The "
            "ledger was not changed; name another folder with --out."
        ) from problem


def _export(blocks: Iterable[SealedBlock], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("blocks.jsonl", "balances.parquet", "hops.parquet")]
    with ExitStack() as stack:
        lines = stack.enter_context(paths[0].open("w", encoding="utf-8"))
        balances = stack.enter_context(_Table(paths[1], _BALANCES))
        hops = stack.enter_context(_Table(paths[2], _HOPS))
        for step in steps(blocks):
            stored = {**asdict(step.sealed), "body": json.loads(step.sealed.body)}
            lines.write(json.dumps(stored) + "\n")
            if isinstance(step.block, Settlement):
                balances.add(_balances(step.state))
                hops.add(_hops(step.state, step.block))
    return paths


def _balances(state: State) -> Iterator[dict[str, Any]]:
    who = state.who
    columns = zip(
        who.names, who.coins.tolist(), who.locked.tolist(), who.bond.tolist(),
        who.debt.tolist(), who.waits_until.tolist(), who.examined.tolist(), strict=True,
    )  # fmt: skip
    for participant, values in enumerate(columns):
        yield dict(zip(_BALANCES.names, (state.round, participant, *values), strict=True))


def _hops(state: State, settled: Settlement) -> Iterator[dict[str, Any]]:
    for lane, result in enumerate(settled.lanes):
        for position, hop in enumerate(result.hops):
            name = state.who.names[hop.trainer]
            yield {"round": state.round, "lane": lane, "position": position, "name": name,
                   **asdict(hop)}  # fmt: skip

"""An economy's result on disk: Parquet for numbers, JSON for settings, PNG for people."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..destinations import check_folder
from ..errors import ConfigurationError
from .figures import draw_all
from .policies import POLICIES
from .result import LAGS, EconomyResult
from .settings import EconomySettings
from .study import Estimate, Study

__all__ = ["read_result", "write_result", "write_study"]

_HISTORIES = ("coins", "satisfaction", "best")


def write_result(folder: Path, result: EconomyResult) -> list[Path]:
    """Write a result into a folder, pictures included; the paths written.

    `rounds.parquet` has a row for each round, `participants.parquet` one for each
    participant at the end, `history.parquet` one for each recorded time: lists over
    participants (or over the quantiles that settings.json names), and the version shares.
    """
    check_folder(folder)
    about = {
        "settings": dataclasses.asdict(result.settings),
        "quantiles": result.quantiles,
        "extinct_after": result.extinct_after,
    }
    settings_file = folder / "settings.json"
    settings_file.write_text(json.dumps(about, indent=2) + "\n")
    names = np.array(list(POLICIES))[result.participants["policy"]]
    history: dict[str, Any] = {"round": result.times, "gini": result.gini}
    history |= {name: list(getattr(result, name)) for name in _HISTORIES}
    history |= {lag: result.shares[:, column] for column, lag in enumerate(LAGS)}
    tables = {
        "rounds.parquet": result.rounds,
        "participants.parquet": {**result.participants, "policy": names},
        "history.parquet": history,
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / name)
    return [settings_file, *(folder / name for name in tables), *draw_all(result, folder)]


def write_study(folder: Path, found: Study) -> list[Path]:
    """Write a study into a folder; the paths written.

    `seeds.parquet` has a row for each seed and a column for each figure; `study.json` the
    settings, each figure's estimate and each policy's verdict.
    """
    check_folder(folder)
    first = found.settings.seed
    about = {
        "settings": dataclasses.asdict(found.settings),
        "seeds": found.seeds,
        "estimates": {name: _known(found.estimate(name)) for name in found.figures},
        "verdicts": {
            name: found.verdict(name)
            for name in found.played
            if f"advantage {name}" in found.figures
        },
    }
    seeds, study_file = folder / "seeds.parquet", folder / "study.json"
    columns = {"seed": np.arange(first, first + found.seeds), **found.figures}
    pq.write_table(pa.table(columns), seeds)
    study_file.write_text(json.dumps(about, indent=2, allow_nan=False) + "\n")
    return [seeds, study_file]


def _known(estimate: Estimate) -> dict[str, float | None]:
    """An estimate for JSON, which has no NaN: one seed has no interval."""
    values = dataclasses.asdict(estimate)
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def read_result(folder: Path) -> EconomyResult:
    """Read a result back.

    Raises
    ------
    ConfigurationError
        When the folder holds none, or only a part of one.
    """
    try:
        return _read(folder)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ConfigurationError(
            f"{folder} holds no economy: expected settings.json, rounds.parquet, "
            f"participants.parquet and history.parquet as `flower-relay economy run` writes "
            f"them, found: {problem}. Nothing was changed; run it again to have them."
        ) from problem


def _read(folder: Path) -> EconomyResult:
    about = json.loads((folder / "settings.json").read_text())
    history = pq.read_table(folder / "history.parquet")
    participants = _columns(folder / "participants.parquet")
    number = {name: place for place, name in enumerate(POLICIES)}
    participants["policy"] = np.array(
        [number[name] for name in participants["policy"]], dtype=np.int8
    )
    rows = {name: _matrix(history[name]) for name in _HISTORIES}
    return EconomyResult(
        settings=EconomySettings(**about["settings"]),
        rounds=_columns(folder / "rounds.parquet"),
        times=history["round"].to_numpy(),
        quantiles=None if about["quantiles"] is None else tuple(about["quantiles"]),
        shares=np.stack([history[lag].to_numpy() for lag in LAGS], axis=1),
        gini=history["gini"].to_numpy(),
        participants=participants,
        extinct_after=about["extinct_after"],
        **rows,
    )


def _columns(path: Path) -> dict[str, NDArray[Any]]:
    table = pq.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}


def _matrix(column: Any) -> NDArray[np.float64]:
    """A column of equally long lists as an array."""
    lists = column.combine_chunks()
    matrix: NDArray[np.float64] = lists.flatten().to_numpy().reshape(len(lists), -1)
    return matrix

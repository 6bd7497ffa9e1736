"""The authors' economy on our rules, and traces that are not what they should be."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flower_relay.cli import app
from flower_relay.economy import replay
from flower_relay.errors import TraceError
from tests.authors import economy

TRACE = Path(__file__).parents[2] / "shared" / "reference" / "economy_seed42.json.gz"


def recorded(participants: int = 16, rounds: int = 12, seed: int = 3) -> list[dict[str, Any]]:
    """A trace in the authors' format, of another seed and size than theirs."""
    return economy(participants, rounds, seed)


def written(folder: Path, rows: object) -> Path:
    path = folder / "trace.json.gz"
    path.write_bytes(gzip.compress(json.dumps(rows).encode()))
    return path


@pytest.mark.skipif(not TRACE.exists(), reason="the reference trace lies beside the checkout")
def test_the_command_reproduces_the_authors_economy() -> None:
    result = CliRunner().invoke(app, ["economy", "replay", str(TRACE)])
    assert result.exit_code == 0, result.output
    assert "over 100 rounds" in result.output
    assert "198,933.4625" in result.output
    assert replay(TRACE).max_error < 1e-6


@pytest.mark.parametrize("seed", range(12))
def test_traces_of_other_sizes_and_seeds_replay(tmp_path: Path, seed: int) -> None:
    rows = economy([8, 12, 20, 40][seed % 4], 60, seed)
    report = replay(written(tmp_path, rows))
    assert (report.difference, report.rounds) == (None, 60)
    assert report.max_error < 1e-9


def test_a_trace_that_died_out_replays(tmp_path: Path) -> None:
    for seed in range(50):
        rows = economy(8, 60, seed)
        if not rows[-1]["owners"]:
            break
    assert not rows[-1]["owners"]
    assert replay(written(tmp_path, rows)).equal


def change(row: int, key: str, edit: Callable[[Any], None]) -> Callable[[list[Any]], None]:
    def change_rows(rows: list[Any]) -> None:
        edit(rows[row][key])

    return change_rows


def swap(values: list[Any]) -> None:
    values[0], values[1] = values[1], values[0]


def add_a_thousandth(values: list[float]) -> None:
    values[0] += 0.001


@pytest.mark.parametrize(
    ("changed", "what", "round"),
    [
        (change(7, "owners", swap), "owner", 7),
        (change(7, "pairs", swap), "matching", 7),
        (change(7, "settled", swap), "recognised", 7),
        (change(6, "coins", add_a_thousandth), "balance", 6),
        (change(8, "bids", add_a_thousandth), "bid", 8),
        (change(9, "version", lambda v: v.__setitem__(5, 99)), "newest version", 9),
        (change(9, "pairs", lambda v: v.pop()), "matching", 9),
        (change(5, "owner_perf", add_a_thousandth), "owner's performance", 5),
    ],
)
def test_the_first_difference_is_named(
    tmp_path: Path, changed: Callable[[list[Any]], None], what: str, round: int
) -> None:
    rows = recorded()
    changed(rows)
    path = written(tmp_path, rows)
    difference = replay(path).difference
    assert difference is not None
    assert difference.round == round
    assert difference.what.startswith(what)
    result = CliRunner().invoke(app, ["economy", "replay", str(path)])
    assert result.exit_code == 1
    assert f"round {round}" in result.output


def test_a_wrong_balance_names_participant_expected_and_got(tmp_path: Path) -> None:
    rows = recorded()
    right = rows[6]["coins"][0]
    add_a_thousandth(rows[6]["coins"])
    difference = replay(written(tmp_path, rows)).difference
    assert difference is not None
    assert difference.participant == 0
    assert difference.expected == pytest.approx(right + 0.001)
    assert difference.got == pytest.approx(right)


def test_trainers_out_of_auction_order_are_found(tmp_path: Path) -> None:
    rows = recorded()
    row = next(row for row in rows if len(set(row["bids"][:2])) == 2)
    lower = row["trainers"][1]
    for name in ("trainers", "bids"):
        swap(row[name])
    difference = replay(written(tmp_path, rows)).difference
    assert difference is not None
    assert difference.what.startswith("auction order")
    assert difference.round == row["round"]
    assert difference.participant == row["trainers"][1] != lower


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: rows.clear(), "expected a list with an object for each round"),
        (lambda rows: rows[3].pop("bids"), "round 3: bids missing"),
        (lambda rows: rows[3]["coins"].pop(), "round 3: coins: expected 16 entries, found 15"),
        (lambda rows: rows[3]["miners"].append(1), "round 3: miners: expected 4 entries"),
        (lambda rows: rows[3].update(owners="0"), "round 3: owners: expected a list, found str"),
        (lambda rows: rows[2]["coins"].__setitem__(0, None), "round 2: coins: expected finite"),
        (lambda rows: rows[2]["trainers"].__setitem__(0, 16), "16 is not one of the 16"),
        (lambda rows: rows[2]["pairs"].append([1, 2]), "round 2: pairs: expected entries of 4"),
        (lambda rows: rows[2].update(round=7), "round 2: expected round = 2, found 7"),
        (lambda rows: rows.__setitem__(2, []), "round 2: expected an object, found list"),
        (lambda rows: rows[2]["coins"].__setitem__(0, 10**30), "round 2: coins: expected finite"),
        (lambda rows: rows[2]["trainers"].__setitem__(0, [1]), "is not one of the 16"),
        (lambda rows: rows[2]["pairs"][0].__setitem__(2, 7), "true or false"),
        (lambda rows: [row.update(coins=[0.0] * 3) for row in rows], "at least 4"),
    ],
)
def test_a_malformed_trace_is_refused_with_its_fault(
    tmp_path: Path, spoil: Callable[[list[Any]], object], message: str
) -> None:
    rows = recorded(rounds=4)
    spoil(rows)
    with pytest.raises(TraceError, match=message):
        replay(written(tmp_path, rows))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        gzip.compress(b"[{"),
        gzip.compress(b"[]")[:-9],
        gzip.compress(b"[1, 2, 3]")[:12] + b"\xff" * 9,
        gzip.compress(b"[" * 10**6),
    ],
    ids=["empty", "no gzip", "half a list", "cut", "spoiled", "too deep"],  # gzip notes the time
)
def test_what_is_not_gzip_or_json_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "trace.json.gz"
    path.write_bytes(data)
    with pytest.raises(TraceError, match=r"trace\.json\.gz"):
        replay(path)


def test_a_missing_trace_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="nowhere"):
        replay(tmp_path / "nowhere.json.gz")

"""The authors' economy on our rules, and traces that are not what they should be."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from flower_relay.cli import app
from flower_relay.economy import EconomySettings, replay
from flower_relay.economy.choices import Drawn
from flower_relay.economy.fan_out import FanOut
from flower_relay.errors import TraceError

TRACE = Path(__file__).parents[2] / "shared" / "reference" / "economy_seed42.json.gz"
COIN = 10**9


class Noted(Drawn):
    """Drawn choices, of which the training is noted to be written into a trace."""

    def training(self, policy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.noted = super().training(policy)
        return self.noted

    def miners(self, free: np.ndarray) -> np.ndarray:
        self.drawn = super().miners(free)
        return self.drawn


def recorded(participants: int = 16, rounds: int = 12, seed: int = 3) -> list[dict[str, Any]]:
    """A trace in the authors' format, of another seed and size than theirs."""
    settings = EconomySettings(
        participants=participants, rounds=rounds, seed=seed, least_recognised=0
    )
    economy = FanOut(settings, np.zeros(participants, dtype=np.int8))
    rows = []
    for number in range(rounds):
        choices = Noted(settings, number)
        played = economy.play(choices)
        trained, gain = choices.noted
        pairs = [
            [*pair, bool(done), float(rise) if done else 0.0]
            for pair, done, rise in zip(played.pairs.tolist(), trained, gain, strict=True)
        ]
        rows.append(
            {
                "round": number,
                "owners": played.owners.tolist(),
                "owner_perf": [0.0] * len(played.owners),
                "mo_bids": (played.owner_stakes / COIN).tolist(),
                "trainers": played.trainers.tolist(),
                "bids": (played.bids / COIN).tolist(),
                "pairs": pairs,
                "miners": choices.drawn.tolist(),
                "settled": played.settled.tolist(),
                "coins": (economy.balances() / COIN).tolist(),
                "version": economy.population.held_version.tolist(),
            }
        )
    return rows


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


def test_a_trace_of_another_size_and_seed_replays(tmp_path: Path) -> None:
    report = replay(written(tmp_path, recorded()))
    assert (report.equal, report.rounds) == (True, 12)
    assert report.max_error < 1e-9


def change(row: int, key: str, edit: Callable[[Any], None]) -> Callable[[list[Any]], None]:
    def change_rows(rows: list[Any]) -> None:
        edit(rows[row][key])

    return change_rows


def swap(values: list[Any]) -> None:
    values[0], values[1] = values[1], values[0]


def add_a_thousandth(values: list[float]) -> None:
    values[5] += 0.001


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
    right = rows[6]["coins"][5]
    add_a_thousandth(rows[6]["coins"])
    difference = replay(written(tmp_path, rows)).difference
    assert difference is not None
    assert difference.participant == 5
    assert difference.expected == pytest.approx(right + 0.001)
    assert difference.got == pytest.approx(right)


def test_trainers_out_of_auction_order_are_found(tmp_path: Path) -> None:
    rows = recorded()
    row = rows[9]
    worst = len(row["trainers"]) - 1
    assert row["bids"][0] > row["bids"][worst]
    for name in ("trainers", "bids"):
        row[name].insert(0, row[name].pop(worst))
    difference = replay(written(tmp_path, rows)).difference
    assert difference is not None
    assert difference.round == 9


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
    ],
)
def test_a_malformed_trace_is_refused_with_its_fault(
    tmp_path: Path, spoil: Callable[[list[Any]], object], message: str
) -> None:
    rows = recorded(rounds=4)
    spoil(rows)
    with pytest.raises(TraceError, match=message):
        replay(written(tmp_path, rows))


@pytest.mark.parametrize("data", [b"", b"[]", gzip.compress(b"[{"), gzip.compress(b"[]")[:-9]])
def test_what_is_not_gzip_or_json_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "trace.json.gz"
    path.write_bytes(data)
    with pytest.raises(TraceError, match=r"trace\.json\.gz"):
        replay(path)


def test_a_missing_trace_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="nowhere"):
        replay(tmp_path / "nowhere.json.gz")

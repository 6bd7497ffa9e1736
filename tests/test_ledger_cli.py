"""`flower-relay ledger`: what people see of a run's ledger, and the codes it exits with."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from flower_relay import RelayError, RelaySettings
from flower_relay.ledger import OperatorKey, read_sealed
from flower_relay.ledger.cli import app
from flower_relay.ledger.lineage_view import draw_family, read_family
from flower_relay.ledger.reading import steps
from flower_relay.mechanism.blocks import Publication, Settlement
from tests.forgeries import small_run
from tests.imagined import KEY, ImaginedRun, sealed

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    small_run(folder, nodes=6, rounds=4)
    return folder


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return command


def operator(run: Path) -> str:
    return OperatorKey.load(run.parent / "operator.key").public


def tampered(run: Path, folder: Path, statement: str) -> Path:
    """A copy of the run in which somebody wrote into the database."""
    copy = folder / "run"
    shutil.copytree(run, copy)
    shutil.copy(run.parent / "operator.key", folder / "operator.key")
    with closing(sqlite3.connect(copy / "ledger.db", isolation_level=None)) as database:
        triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            database.execute(f"DROP TRIGGER {name}")
        assert database.execute(statement).rowcount > 0
    return copy


def test_verify_exits_with_0_and_says_what_it_checked(run: Path, ledger: Command) -> None:
    for target in (run, run / "ledger.db"):
        result = ledger("verify", target, "--trust", operator(run))
        assert result.exit_code == 0, result.output
        assert "everything holds" in result.output
        assert operator(run) in result.output
        assert "present" in result.output


def test_verify_exits_with_1_and_names_block_and_field(
    run: Path, tmp_path: Path, ledger: Command
) -> None:
    raised = "UPDATE blocks SET body = replace(body, '\"units\":', '\"units\":1')"
    copy = tampered(run, tmp_path, f"{raised} WHERE body LIKE '%\"settlement\"%'")
    result = ledger("verify", copy)
    assert result.exit_code == 1
    first = next(s.index for s in read_sealed(run) if isinstance(s.block(), Settlement))
    assert f"✗ block {first}: seal.hash: expected" in result.output
    assert "everything holds" not in result.output


def test_verify_pins_a_key(run: Path, ledger: Command) -> None:
    result = ledger("verify", run, "--trust", "0" * 64)
    assert result.exit_code == 1
    assert f"✗ block 0: seal.producer: expected {'0' * 64}, found {operator(run)}" in result.output
    assert "--receipt" in result.output  # what would tell a new signature from a new run


def test_verify_misses_models_where_the_folder_lost_them(
    run: Path, tmp_path: Path, ledger: Command
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "models")
    result = ledger("verify", copy)
    assert result.exit_code == 1
    assert "without which the run cannot go on" in result.output
    assert not (copy / "models").exists()  # nothing is written
    alone = tmp_path / "alone.db"
    shutil.copy(run / "ledger.db", alone)
    result = ledger("verify", alone)
    assert result.exit_code == 0
    assert "not checked: no folder of models" in result.output


def test_a_receipt_is_made_checked_and_held_against_the_ledger(
    run: Path, tmp_path: Path, ledger: Command
) -> None:
    mine = tmp_path / "mine.json"
    made = ledger("receipt", run, "partition-id-2", "--out", mine)
    assert made.exit_code == 0, made.output
    assert str(mine) in made.output
    checked = ledger("check-receipt", mine, "--trust", operator(run), "--run", run)
    assert checked.exit_code == 0, checked.output
    assert "partition-id-2 had" in checked.output
    assert ledger("verify", run, "--receipt", mine).exit_code == 0

    last = max(s.index for s in read_sealed(run) if isinstance(s.block(), Settlement))
    shorter = tampered(run, tmp_path, f'DELETE FROM blocks WHERE "index" >= {last}')
    for result in (
        ledger("check-receipt", mine, "--run", shorter),
        ledger("verify", shorter, "--receipt", mine),
    ):
        assert result.exit_code == 1
        assert f"block {last}: expected a block with hash" in result.output
    assert ledger("check-receipt", mine, "--trust", "0" * 64).exit_code == 1


def test_a_head_that_was_noted_is_missed(run: Path, tmp_path: Path, ledger: Command) -> None:
    *_, last = read_sealed(run)
    assert ledger("verify", run, "--head", last.hash).exit_code == 0
    result = ledger("verify", run, "--head", "0" * 64)
    assert result.exit_code == 1
    assert f"a block with hash {'0' * 64}" in result.output


def test_a_receipt_is_signed_by_the_ledgers_own_key_or_not_at_all(
    run: Path, tmp_path: Path, ledger: Command
) -> None:
    OperatorKey.create(tmp_path / "other.key")
    result = ledger("receipt", run, "partition-id-2", "--key", tmp_path / "other.key")
    assert isinstance(result.exception, RelayError)
    assert "Give the file of the operator's key" in str(result.exception)


def test_show_lists_blocks_and_shows_one_whole(run: Path, ledger: Command) -> None:
    blocks = list(read_sealed(run))
    listed = ledger("show", run).output
    assert all(sealed.hash[:12] in listed for sealed in blocks)
    assert "genesis" in listed
    whole = ledger("show", run, "--block", 1).output
    seal, body = whole.split("}\n", 1)
    assert json.loads(seal + "}")["hash"] == blocks[1].hash
    assert json.loads(body) == json.loads(blocks[1].body)
    result = ledger("show", run, "--block", 10**6)
    assert isinstance(result.exception, RelayError)


def test_balance_shows_everybody_and_the_statement_of_one(run: Path, ledger: Command) -> None:
    *_, last = steps(read_sealed(run))
    who = last.state.who
    everybody = ledger("balance", run).output
    for name, coins in zip(who.names, who.coins.tolist(), strict=True):
        [line] = [line for line in everybody.splitlines() if name in line]
        assert f"{coins / 1e9:.9f}" in line
    richest = int(who.coins.argmax())
    statement = ledger("balance", run, who.names[richest]).output.splitlines()
    ends = [line for line in statement if "│" in line][-1]
    assert f"{who.coins[richest] / 1e9:.9f}" in ends
    assert f"{who.locked[richest] / 1e9:.9f}" in ends.split("│")[-2]  # pay that has not vested
    result = ledger("balance", run, "nobody")
    assert "there are: partition-id-0" in str(result.exception)


def test_lineage_shows_every_recognised_model_and_the_line_of_one(
    run: Path, tmp_path: Path, ledger: Command
) -> None:
    *_, last = steps(read_sealed(run))
    models = last.state.lineage.models
    tree = ledger("lineage", run).output
    assert all(name[:12] in tree for name in models)
    assert "◀ baton" in tree

    baton = last.state.lanes[0].baton
    line = [m.name for m in last.state.lineage.ancestors(baton)]
    of_one = ledger("lineage", run, baton[:10], "--svg", tmp_path / "line.svg").output
    assert all(name[:12] in of_one for name in (baton, *line))
    assert f"{len(line)} ancestors" in of_one
    drawn = ElementTree.parse(tmp_path / "line.svg").getroot()
    assert drawn.tag.endswith("svg")
    words = "".join(drawn.itertext())
    assert all(name[:6] in words for name in (baton, *line))

    [champion] = {s.block.champion for s in steps(read_sealed(run)) if
                  isinstance(s.block, Publication) and s.state.round == 4}  # fmt: skip
    assert f"the trail that ends with {baton[:12]}" in ledger("lineage", run, champion).output
    for beginning, said in (("xyz", "none begins"), ("", "begin: ")):
        result = ledger("lineage", run, beginning)
        assert said in str(result.exception)


def test_export_writes_what_other_programs_read(run: Path, tmp_path: Path, ledger: Command) -> None:
    assert ledger("export", run, "--out", tmp_path / "out").exit_code == 0
    lines = (tmp_path / "out" / "blocks.jsonl").read_text().splitlines()
    blocks = list(read_sealed(run))
    assert [json.loads(line)["hash"] for line in lines] == [sealed.hash for sealed in blocks]
    assert json.loads(lines[0])["body"]["kind"] == "genesis"

    *_, last = steps(blocks)
    balances = pq.read_table(tmp_path / "out" / "balances.parquet").to_pylist()
    assert len(balances) == last.state.num_participants * last.state.round
    final = [row["coins"] for row in balances if row["round"] == last.state.round]
    assert final == last.state.who.coins.tolist()

    hops = pq.read_table(tmp_path / "out" / "hops.parquet").to_pylist()
    settled = [s.block for s in steps(read_sealed(run)) if isinstance(s.block, Settlement)]
    made = [hop for block in settled for lane in block.lanes for hop in lane.hops]
    assert [(row["model"], row["outcome"], row["vote"]) for row in hops] == [
        (hop.model, hop.outcome, hop.vote) for hop in made
    ]


def test_where_there_is_no_ledger_the_error_says_what_is_expected(
    tmp_path: Path, ledger: Command
) -> None:
    for command in ("verify", "show", "balance", "lineage"):
        result = ledger(command, tmp_path)
        assert isinstance(result.exception, RelayError)
        assert str(tmp_path) in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_forked_lineage_is_drawn_in_rows_that_are_used_again(tmp_path: Path) -> None:
    key = KEY
    settings = RelaySettings(lanes=3, lanes_meet="average")
    blocks = list(sealed(ImaginedRun(settings, participants=12, rounds=30), key))
    family = read_family(blocks)
    for name in ("one.svg", "two.svg"):
        draw_family(family, tmp_path / name)
    drawn = ElementTree.parse(tmp_path / "one.svg").getroot()
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert float(drawn.attrib["height"].removesuffix("pt")) < 6 * 72  # three lanes, not ninety

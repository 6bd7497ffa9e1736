"""A run's folder from anybody: a difference with its place, in bounded time, and nothing else."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import Result
from safetensors.numpy import save
from typer.testing import CliRunner

from flower_relay.errors import LedgerError, RelayError
from flower_relay.ledger import OperatorKey, read_sealed
from flower_relay.ledger.cli import app
from flower_relay.ledger.verify import Verdict, verify_run
from flower_relay.legible import legible
from tests.forgeries import small_run
from tests.mutants import faults_of_commands, faults_of_verify, mutants, resealed, write_ledger

EVIL = "p\x1b]0;a title\x1b\\\x1b[1A\x1b[2K\x1b[32m✓ everything holds\x1b[0m\n\u202e"
MODEL = "a" * 64 + ".safetensors"


@pytest.fixture(scope="module")
def true(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, OperatorKey, list[str]]:
    """A run's folder, its operator's key, and the bodies of its blocks."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    key = small_run(folder)
    return folder, key, [sealed.body for sealed in read_sealed(folder)]


@pytest.fixture
def make(true: tuple[Path, OperatorKey, list[str]], tmp_path: Path) -> Callable[..., Path]:
    """Makes a run's folder from texts, well sealed, by default those of the true run."""

    def made(bodies: Sequence[str] | None = None) -> Path:
        folder = tmp_path / "run"
        (folder / "models").mkdir(parents=True)
        _, key, real = true
        write_ledger(folder / "ledger.db", list(resealed(real if bodies is None else bodies, key)))
        return folder

    return made


@pytest.fixture
def genesis(true: tuple[Path, OperatorKey, list[str]]) -> Callable[..., str]:
    """The true genesis block with other fields, or other settings."""

    def made(settings: dict[str, Any] | None = None, **fields: Any) -> str:
        body = json.loads(true[2][0])
        return spelled({**body, **fields, "settings": {**body["settings"], **(settings or {})}})

    return made


def spelled(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def verdict_on(folder: Path) -> Verdict:
    return verify_run(read_sealed(folder), models=folder / "models")


def place_of(folder: Path) -> tuple[int | None, str, str]:
    problem = verdict_on(folder).first_problem
    assert problem is not None
    return problem.block, problem.field, str(problem)


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


# Whatever a block holds.


def test_no_change_of_a_ledger_raises_and_nothing_of_it_reaches_the_terminal(
    true: tuple[Path, OperatorKey, list[str]], tmp_path: Path
) -> None:
    folder, key, bodies = true
    faults = []
    for number, (_, blocks) in enumerate(mutants(bodies, key, seed=11, number=150)):
        faults += [fault for fault in faults_of_verify(blocks, folder / "models")[1:] if fault]
        if number % 50 == 0:
            faults += faults_of_commands(blocks, tmp_path)
    assert faults == []


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"lanes": 10**9}, "genesis.settings"),
        ({"max_leg": 10**30}, "genesis"),
        ({"seed": 10**400}, "genesis"),
        ({"deposit_unit": 10**400}, "genesis"),
        ({"deposit_unit": 1e308}, "genesis.settings"),
        ({"deposit_unit": 1e300}, "genesis.settings"),
        ({"lanes": [1]}, "genesis"),
        ({"self": 1}, "genesis.settings"),
        ({"utility_key": "\ud800"}, "genesis"),
    ],
    ids=str,
)
def test_a_setting_that_no_run_has_is_named(
    settings: dict[str, Any], field: str, make: Callable[..., Path], genesis: Callable[..., str]
) -> None:
    folder = make([genesis(settings)])
    block, found, _ = place_of(folder)
    assert block == 0
    assert found in (field, "genesis", "genesis.settings", "seal")
    for name in ("show", "balance", "lineage", "export"):
        options = ("--out", folder / "out") if name == "export" else ()
        assert isinstance(command(name, folder, *options).exception, RelayError)


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "1",
        "null",
        '"text"',
        "[" * 100_000 + "]" * 100_000,
        "[" * 900 + "]" * 900,
        '{"bound":' + "1" * 10**6 + "}",
        '{"bound":NaN}',
        '{"a":1,"a":2}',
        '"' + "a" * 2**25 + '"',
        "",
    ],
    ids=lambda text: text[:12],
)
def test_a_body_that_is_no_block_is_named(
    text: str, true: tuple[Path, OperatorKey, list[str]], make: Callable[..., Path]
) -> None:
    folder = make([true[2][0], text])
    assert place_of(folder)[0] == 1
    for arguments in (("show", folder), ("balance", folder)):
        assert isinstance(command(*arguments).exception, RelayError)
    assert command("show", folder, "--block", 1).exception is None


def test_forty_thousand_founders_are_read_at_once(
    make: Callable[..., Path], genesis: Callable[..., str]
) -> None:
    names = [f"p{number}" for number in range(40_000)]
    folder = make([genesis(participants=names, utilities=[0.5] * 40_000)])
    assert verdict_on(folder).blocks == 1
    names[-1] = "p0"
    (folder / "ledger.db").unlink()
    (folder / "models").rmdir()
    folder = make([genesis(participants=names, utilities=[0.5] * 40_000)])
    assert place_of(folder)[:2] == (0, "genesis.participants[39999]")


@pytest.mark.parametrize("name", [EVIL, "[bold red]x[/]", "[/nothing]", "n" * 10**5])
def test_a_name_is_shown_as_text_that_does_nothing(
    name: str,
    make: Callable[..., Path],
    genesis: Callable[..., str],
    true: tuple[Path, OperatorKey, list[str]],
) -> None:
    founders = [name, *json.loads(true[2][0])["participants"][1:]]
    folder = make([genesis(participants=founders), *true[2][1:]])
    for arguments in (
        ("verify", folder), ("show", folder, "--block", 0), ("balance", folder),
        ("balance", folder, "nobody"), ("lineage", folder),
    ):  # fmt: skip
        result = command(*arguments)
        assert result.exception is None or isinstance(result.exception, RelayError | SystemExit)
        assert result.output.replace("\n", "").isprintable()
    # As many characters as fit, with those that would do something spelled out.
    beginning = legible(name, 10)[:10].rstrip(" …")
    assert beginning in command("balance", folder).output


@pytest.mark.parametrize(
    "name", ["<script>", "]]>&x;<!--", "$\\frac{$", "$x^2$", "a\x01\x0b", "n" * 10**5, "\n" * 10**4]
)
def test_a_picture_takes_any_name(
    name: str,
    make: Callable[..., Path],
    genesis: Callable[..., str],
    true: tuple[Path, OperatorKey, list[str]],
    tmp_path: Path,
) -> None:
    founders = [f"{name}{n}" for n in range(len(json.loads(true[2][0])["participants"]))]
    folder = make([genesis(participants=founders), *true[2][1:]])
    result = command("lineage", folder, "--svg", tmp_path / "x.svg")
    assert result.exception is None, result.output
    drawn = (tmp_path / "x.svg").read_text()
    assert "<script" not in drawn
    assert len(drawn) < 10**5
    ElementTree.fromstring(drawn)


def test_what_descends_from_itself_is_no_lineage(
    true: tuple[Path, OperatorKey, list[str]], make: Callable[..., Path]
) -> None:
    """Settled as accepted on the ledger's word: a line that leads round in a circle."""
    bodies = [json.loads(text) for text in true[2]]
    first, second = [number for number, b in enumerate(bodies) if b["kind"] == "settlement"][:2]
    model = bodies[0]["model"]
    hop = {"trainer": 0, "base": model, "model": "x", "outcome": "accepted", "vote": None,
           "gain": None, "step": None}  # fmt: skip
    bodies[first]["lanes"][0]["hops"] = [hop]
    bodies[second]["lanes"][0]["hops"] = [{**hop, "base": "x", "model": model}]
    result = command("lineage", make([spelled(body) for body in bodies]))
    assert isinstance(result.exception, LedgerError)
    assert f"block {second} cannot follow" in str(result.exception)


# Whatever is in the folder.


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def private(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def nothing(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def sock(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        before = Path.cwd()
        os.chdir(path.parent)  # an address may have a hundred characters
        try:
            listener.bind("s")
        finally:
            os.chdir(before)
        path.with_name("s").rename(path)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**42)


@pytest.mark.parametrize(
    ("put", "found"),
    [
        (pipe, "a pipe"),
        (device, "a link"),
        (private, "a link"),
        (nothing, "a link"),
        (sock, "a socket"),
        (Path.mkdir, "a folder"),
        (sparse, "most of them holes"),
    ],
)
def test_a_model_is_a_file_or_it_is_named(
    put: Callable[[Path], None], found: str, make: Callable[..., Path]
) -> None:
    folder = make()
    put(folder / "models" / MODEL)
    told = [str(problem) for problem in verdict_on(folder).problems]
    [said] = [each for each in told if "a" * 64 in each]
    assert found in said


def test_a_models_name_is_shown_as_text_that_does_nothing(make: Callable[..., Path]) -> None:
    folder = make()
    (folder / "models" / "\x1b[31mred.safetensors").write_bytes(b"x")
    result = command("verify", folder)
    assert result.exit_code == 1
    assert "\x1b" not in result.output
    assert "models/\\x1b[31mred: expected bytes that hash to this name" in result.output


def test_models_of_other_shapes_are_not_averaged_into_a_larger_one(
    true: tuple[Path, OperatorKey, list[str]], make: Callable[..., Path]
) -> None:
    """A column and a row of 200,000 numbers each would make a sum of 320 gigabytes."""
    from flower_relay.store import model_name

    tall, wide = (save({"w": np.zeros(shape)}) for shape in ((200_000, 1), (1, 200_000)))
    bodies = "\n".join(true[2])
    publication = next(json.loads(t) for t in true[2] if json.loads(t)["kind"] == "publication")
    old_trail, old_baton = json.loads(true[2][0])["model"], publication["batons"][0]
    bodies = bodies.replace(old_trail, model_name(tall)).replace(old_baton, model_name(wide))
    folder = make(bodies.split("\n"))
    for data in (tall, wide):
        (folder / "models" / f"{model_name(data)}.safetensors").write_bytes(data)
    assert not verdict_on(folder).ok


@pytest.mark.parametrize("end", ["", "-wal", "-journal"])
@pytest.mark.parametrize(
    ("put", "found"), [(pipe, "a pipe"), (device, "a device"), (Path.mkdir, "a folder")]
)
def test_a_ledger_is_a_file_or_it_is_told(
    put: Callable[[Path], None], found: str, end: str, make: Callable[..., Path]
) -> None:
    folder = make()
    path = folder / f"ledger.db{end}"
    path.unlink(missing_ok=True)
    put(path)
    result = command("verify", folder)
    assert result.exit_code == 1
    assert f"found {found} in the place of ledger.db{end}" in result.output
    assert isinstance(command("show", folder).exception, RelayError)


COLUMNS = 'run, "index", previous, body, hash, producer, signature'
ENDLESS = (
    "WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM c) SELECT '' AS run, "
    "x AS \"index\", '' AS previous, '' AS body, '' AS hash, '' AS producer, '' AS signature FROM c"
)
LARGE = ENDLESS.replace("'' AS body", "CAST(zeroblob(900000000) AS TEXT) AS body")


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (("DROP TABLE blocks", f"CREATE VIEW blocks AS {ENDLESS}"), "a view named blocks"),
        (("DROP TABLE blocks", f"CREATE VIEW BLOCKS AS {LARGE}"), "a view named BLOCKS"),
        (("DROP TABLE runs", f"CREATE VIEW runs AS {ENDLESS}"), "a view named runs"),
        (
            ("ALTER TABLE blocks ADD COLUMN x AS (replace(body, 'a', body))",),
            "a table with more than columns, blocks",
        ),
        (
            ("CREATE TABLE x (a CHECK (length(hex(randomblob(100000000))) > 0))",),
            "a table with more than columns, x",
        ),
        (("CREATE INDEX i ON blocks (hex(body))",), "an index of its own, i"),
        (("CREATE VIRTUAL TABLE v USING fts5(a)",), "a table with more than columns, v"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_database_is_tables_of_plain_columns_or_it_is_told(
    statements: tuple[str, ...], found: str, make: Callable[..., Path]
) -> None:
    folder = make()
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    block, _, told = place_of(folder)
    assert block == 0
    assert f"expected tables as flower_relay makes them, found {found}" in told


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ledger_meta",
        "INSERT INTO ledger_meta VALUES (1)",
        "UPDATE ledger_meta SET schema_version = 'x'",
        "UPDATE ledger_meta SET schema_version = NULL",
        "UPDATE ledger_meta SET schema_version = -1",
        'UPDATE blocks SET body = CAST(zeroblob(100000000) AS TEXT) WHERE "index" = 1',
        'UPDATE blocks SET "index" = NULL WHERE "index" = 1',
        'UPDATE blocks SET "index" = -5 WHERE "index" = 1',
        'UPDATE blocks SET "index" = \'x\' WHERE "index" = 1',
        "UPDATE blocks SET producer = x'00'",
    ],
)
def test_a_row_that_no_ledger_has_is_a_difference(
    statement: str, make: Callable[..., Path]
) -> None:
    folder = make()
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        database.execute(statement)
        database.commit()
    assert not verdict_on(folder).ok


@pytest.mark.parametrize("target", ["x" * 5000, "a/" * 3000, "\udcff", "nowhere"])
def test_any_argument_ends_in_a_message(target: str, tmp_path: Path) -> None:
    for arguments in (
        ("verify", target), ("show", target), ("balance", target), ("lineage", target),
        ("export", target, "--out", tmp_path / "out"), ("check-receipt", target),
        ("receipt", target, "p"),
    ):  # fmt: skip
        assert isinstance(command(*arguments).exception, RelayError), arguments


def test_what_cannot_be_written_ends_in_a_message(
    true: tuple[Path, OperatorKey, list[str]], tmp_path: Path
) -> None:
    folder = true[0]
    taken = tmp_path / "taken"
    taken.touch()
    for arguments in (
        ("export", folder, "--out", taken),
        ("lineage", folder, "--svg", tmp_path),
        ("receipt", folder, "partition-id-0", "--out", tmp_path),
    ):
        assert isinstance(command(*arguments).exception, RelayError), arguments


@pytest.mark.parametrize("put", [pipe, device, Path.mkdir])
def test_a_receipt_is_read_from_a_file_only(put: Callable[[Path], None], tmp_path: Path) -> None:
    put(tmp_path / "mine.json")
    result = command("check-receipt", tmp_path / "mine.json")
    assert isinstance(result.exception, LedgerError)
    assert "cannot be read" in str(result.exception)


def test_text_is_cut_and_spelled_out_where_it_would_do_something() -> None:
    assert legible("ä and 語") == "ä and 語"
    assert legible("a\nb\x1b[2K\u202e\ud800") == "a\\nb\\x1b[2K\\u202e\\ud800"
    assert legible("abcdef", 3) == "abc …"

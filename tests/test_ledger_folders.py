"""Whatever lies in a run's folder, and whatever stands for one, ends in a verdict or a message."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from flower_relay.errors import LedgerError, RelayError
from flower_relay.ledger import OperatorKey
from tests.false_ledgers import command, place_of, verdict_on

MODEL = "a" * 64 + ".safetensors"


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

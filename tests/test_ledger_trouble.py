"""Versions, full disks, locks and damage: told with what is safe and what to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from flower_relay.errors import (
    ConfigurationError,
    KeyFileError,
    LedgerDamagedError,
    LedgerError,
    LedgerStorageError,
    LedgerVersionError,
    RelayError,
)
from flower_relay.ledger import open_ledger, read_sealed
from flower_relay.ledger.address import masked
from flower_relay.ledger.schema import MIGRATIONS
from flower_relay.mechanism.blocks import Admission
from tests.ledgers import GENESIS, KEY, OTHER_KEY, UNLOCKED, by_hand, few, joins, on_connect, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of three blocks, closed."""
    write(tmp_path / "ledger.db", few(3))
    return tmp_path / "ledger.db"


# Versions.


def add_notes(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE runs ADD COLUMN notes TEXT"))
    connection.execute(text("UPDATE runs SET notes = 'added'"))


def break_down(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE half_done (x INTEGER)"))
    connection.execute(text("SELECT * FROM no_such_table"))


def columns(path: Path, table: str) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        [[found]] = connection.execute("SELECT schema_version FROM ledger_meta").fetchall()
    assert isinstance(found, int)
    return found


def test_an_older_ledger_is_brought_to_the_newest_version_with_all_its_blocks(path: Path) -> None:
    assert version(path) == 1
    before = list(read_sealed(path))
    newer = (*MIGRATIONS, add_notes)
    for _ in range(2):  # the second time there is nothing to do
        with open_ledger(path, key=KEY, migrations=newer) as chain:
            assert list(chain.sealed_blocks()) == before
        assert version(path) == 2
        assert columns(path, "runs") == ["run", "pid", "host", "since", "notes"]


def test_a_new_ledger_goes_through_all_migrations(tmp_path: Path) -> None:
    newer = (*MIGRATIONS, add_notes)
    with open_ledger(tmp_path / "ledger.db", key=KEY, migrations=newer) as chain:
        chain.append(GENESIS)
    assert version(tmp_path / "ledger.db") == 2


def test_a_migration_that_fails_leaves_the_ledger_at_its_version(path: Path) -> None:
    with pytest.raises(LedgerError, match="no_such_table"):
        open_ledger(path, key=KEY, migrations=(*MIGRATIONS, add_notes, break_down))
    assert version(path) == 1
    assert columns(path, "runs") == ["run", "pid", "host", "since"]
    assert columns(path, "half_done") == []
    assert [sealed.block() for sealed in read_sealed(path)] == few(3)


def test_a_ledger_of_a_newer_version_is_refused_untouched(path: Path) -> None:
    open_ledger(path, key=KEY, migrations=(*MIGRATIONS, add_notes)).close()
    before = path.read_bytes()
    message = "version 1 or older, found version 2.*pip install --upgrade"
    with pytest.raises(LedgerVersionError, match=message):
        open_ledger(path, key=KEY)
    with pytest.raises(LedgerVersionError, match=message):
        next(read_sealed(path))
    assert path.read_bytes() == before


# Trouble, and its cures.


def test_a_full_disk_loses_nothing_and_the_chain_goes_on_when_there_is_room(path: Path) -> None:
    with on_connect("PRAGMA max_page_count = 20"):
        chain = open_ledger(path, key=KEY)
    head = chain.head
    large = Admission(round=3, participants=("p" * 200_000,))
    with pytest.raises(LedgerStorageError, match=r"disk is full.*committed and safe.*Free some"):
        chain.append(large)
    assert (chain.head, len(chain), list(chain)) == (head, 3, few(3))
    chain.append(joins(3))
    chain.close()
    assert [sealed.block() for sealed in read_sealed(path)] == few(4)


def test_a_database_that_another_program_locks_loses_nothing(path: Path) -> None:
    with (
        open_ledger(path, key=KEY, patience=0.05) as chain,
        closing(sqlite3.connect(path, isolation_level=None)) as browser,
    ):
        browser.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerStorageError, match=r"another program.*safe.*Close what has it"):
            chain.append(joins(3))
        browser.execute("ROLLBACK")
        chain.append(joins(3))
        assert list(chain) == few(4)


def test_a_file_of_garbage_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database at all" * 500)
    for use in (lambda: open_ledger(path, key=KEY), lambda: next(read_sealed(path))):
        with pytest.raises(LedgerDamagedError, match=r"not a whole.*Nothing was changed.*backup"):
            use()
    assert path.read_bytes() == b"no database at all" * 500


def test_an_empty_file_holds_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    with pytest.raises(LedgerError, match="found none"):
        next(read_sealed(path))


@pytest.mark.parametrize("eighths", range(1, 8))  # of six pages: some cuts are inside of one
def test_a_truncated_file_is_told_and_left_as_it_is(path: Path, eighths: int) -> None:
    whole = path.read_bytes()
    kept = whole[: len(whole) * eighths // 8]
    path.write_bytes(kept)
    with pytest.raises(LedgerDamagedError, match=r"Copy the run's folder first.*backup"):
        open_ledger(path, key=KEY)
    assert path.read_bytes() == kept
    with pytest.raises(LedgerDamagedError):
        list(read_sealed(path))


def test_no_damaged_byte_of_the_file_passes_for_a_ledger(path: Path, tmp_path: Path) -> None:
    whole, expected = path.read_bytes(), list(read_sealed(path))
    copy = tmp_path / "damaged.db"
    used = [place for place in range(len(whole)) if whole[place]][::20]
    found = 0
    for place in used:
        copy.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        with suppress(LedgerError):
            # Read as stored, and no shorter: what changed is for the seals to tell.
            assert [sealed.index for sealed in read_sealed(copy)] == [0, 1, 2]
        try:
            with open_ledger(copy, key=KEY) as chain:
                # What is opened for going on is what was written, or it is not opened.
                assert list(chain) == few(3)
                assert list(chain.sealed_blocks()) == expected
        except RelayError:
            found += 1
        for side in ("-wal", "-shm"):
            copy.with_name(copy.name + side).unlink(missing_ok=True)
    assert found > len(used) // 2


def test_a_column_of_another_type_is_told_by_its_block(path: Path) -> None:
    by_hand(path, *UNLOCKED, """UPDATE blocks SET hash = x'00' WHERE "index" = 1""")
    with pytest.raises(LedgerDamagedError, match=r"expected block 1.*hash of another type"):
        list(read_sealed(path))


def test_a_ledger_goes_on_under_its_own_key_only(path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"Resume with the key file that the run began with"):
        open_ledger(path, key=OTHER_KEY)
    assert len(list(read_sealed(path))) == 3


@pytest.mark.parametrize(
    "target", ["mysql://user@host/runs#r", "postgresql://user@host/runs", "s3://x#r", "://#r"]
)
def test_an_address_of_no_ledger_is_told_with_those_that_there_are(target: str) -> None:
    with pytest.raises(ConfigurationError, match="a ledger is named by"):
        open_ledger(target, key=KEY)


@pytest.mark.parametrize(
    "target",
    [
        "mysql://user:SECRET@host/runs#r",
        "postgresql://user:SECRET@host/runs",
        "postgresql://user:SEC/RET@host/runs",
        "postgresql://user:p@SECRET@host/runs",
        "postgresql://user:SECRET@host:port/runs#r",
        "postgresql://user:SECRET",
        "postgresql://host/runs?user=u&password=SECRET",
        "postgresql://host/runs?sslPassword=SECRET&x=1",
        "postgresql://user:SECRET@[bad/runs",
    ],
)
def test_messages_keep_passwords_to_themselves(target: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        open_ledger(target, key=KEY)
    assert "SECRET" not in str(refusal.value)
    assert "RET" not in masked(target)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://user:SECRET@127.0.0.1:1/runs#r",
        "postgresql://127.0.0.1:1/runs?user=u&password=SECRET#r",
        "postgresql://user:SECRET@127.0.0.1:1/runs?sslmode=nonsense#r",
    ],
)
def test_a_server_that_is_not_there_is_told_without_the_password(address: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(LedgerStorageError) as refusal:
        next(read_sealed(address))
    assert "SECRET" not in str(refusal.value)
    assert "127.0.0.1" in str(refusal.value)


def test_what_is_no_secret_of_an_address_is_shown() -> None:
    address = "postgresql://user@host:5432/runs?sslmode=require#r"
    assert masked(address) == address
    assert masked("runs/2026-relay") == "runs/2026-relay"

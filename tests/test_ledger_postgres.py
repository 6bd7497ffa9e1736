"""A ledger in PostgreSQL behaves like one in a file: against a server of our own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from flower_relay.errors import (
    KeyFileError,
    LedgerDamagedError,
    LedgerError,
    LedgerInUseError,
    LedgerStorageError,
    LedgerVersionError,
)
from flower_relay.ledger import OperatorKey, open_ledger, read_sealed
from flower_relay.ledger.chain import MemoryChain
from flower_relay.ledger.schema import MIGRATIONS
from tests.ledgers import KEY, OTHER_KEY, joins

pytest.importorskip("psycopg", reason="needs psycopg: pip install 'flower-relay[postgres]'")


def programs() -> Path:
    """Where the server's programs are: on the path, or where Debian puts them."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    if not folders:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    return folders[-1]


def as_server() -> list[str]:
    """PostgreSQL does not run as root; its package makes a user for it."""
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server, on a socket in a folder of its own."""
    where, folder = programs(), Path(tempfile.mkdtemp(prefix="relay-pg-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        data = str(folder / "data")
        control = [*as_server(), str(where / "pg_ctl"), "-D", data, "-s", "-w"]
        initdb = [str(where / "initdb"), "-D", data, "-A", "trust", "-U", "relay", "-N"]
        subprocess.run([*as_server(), *initdb], check=True, cwd="/", stdout=subprocess.DEVNULL)
        options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
        start = ["-l", str(folder / "log"), "-o", options, "start"]
        subprocess.run([*control, *start], check=True, cwd="/")
        try:
            yield f"postgresql://relay@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd="/")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database(server: str, request: pytest.FixtureRequest) -> str:
    """The address of an empty database; a run's name is added after `#`."""
    name = f"test_{abs(hash(request.node.name))}"
    by_hand(server, f"CREATE DATABASE {name}")
    return server.replace("/postgres?", f"/{name}?")


def by_hand(address: str, *statements: str) -> list[tuple[object, ...]]:
    """Run SQL behind the library's back; the last statement's rows."""
    url = address.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            answer = connection.execute(text(statement))
        return [tuple(row) for row in answer] if answer.returns_rows else []


def test_a_ledger_goes_on_where_it_ended_with_the_same_hashes(database: str) -> None:
    memory = MemoryChain()
    for number in range(3):
        with open_ledger(f"{database}#run", key=KEY) as chain:
            assert len(chain) == number
            assert chain.append(joins(number)) == memory.append(joins(number))
            assert list(chain) == list(memory)
    found = list(read_sealed(f"{database}#run"))
    assert [sealed.block() for sealed in found] == list(memory)
    assert all(sealed.is_signed() for sealed in found)


def test_several_runs_share_a_database_without_knowing_of_each_other(database: str) -> None:
    with (
        open_ledger(f"{database}#one", key=KEY) as one,
        open_ledger(f"{database}#two", key=OTHER_KEY) as two,
    ):
        one.append(joins(1))
        two.append(joins(2))
        one.append(joins(3))
        assert (list(one), list(two)) == ([joins(1), joins(3)], [joins(2)])
    assert [sealed.block() for sealed in read_sealed(f"{database}#two")] == [joins(2)]


def test_runs_that_begin_at_once_in_an_empty_database_all_begin(database: str) -> None:
    def begin(name: str) -> None:
        with open_ledger(f"{database}#{name}", key=KEY) as chain:
            chain.append(joins(0))

    names = [f"run{number}" for number in range(6)]
    threads = [Thread(target=begin, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(list(read_sealed(f"{database}#{name}"))) for name in names] == [1] * 6


WRITER = """
import sys, time
from pathlib import Path
from flower_relay.mechanism.blocks import Admission
from flower_relay.ledger import OperatorKey, open_ledger

chain = open_ledger(sys.argv[1], key=OperatorKey.load(Path(sys.argv[2])))
print(chain.append(Admission(round=0, participants=("p0",))), flush=True)
time.sleep(600)
"""


def test_a_second_writer_is_refused_until_the_first_is_killed(
    database: str, tmp_path: Path
) -> None:
    key, run = OperatorKey.create(tmp_path / "operator.key"), f"{database}#run"
    command = [sys.executable, "-c", WRITER, run, str(tmp_path / "operator.key")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        try:
            assert first.stdout is not None
            head = first.stdout.readline().strip()
            with pytest.raises(LedgerInUseError, match=f"process {first.pid} on .* since 20"):
                open_ledger(run, key=key, patience=0.05)
            assert [sealed.hash for sealed in read_sealed(run)] == [head]  # readers are welcome
        finally:
            first.send_signal(signal.SIGKILL)
    with open_ledger(run, key=key) as chain:
        assert chain.head == head
        chain.append(joins(1))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE blocks SET body = '{}'",
        "DELETE FROM blocks",
        "TRUNCATE blocks",
        "DELETE FROM runs",
        "INSERT INTO blocks SELECT * FROM blocks",
    ],
)
def test_blocks_cannot_be_changed_deleted_or_doubled(database: str, statement: str) -> None:
    with open_ledger(f"{database}#run", key=KEY) as chain:
        chain.append(joins(0))
    with pytest.raises(DBAPIError, match=r"never changed|foreign key|duplicate key"):
        by_hand(database, statement)
    assert [sealed.block() for sealed in read_sealed(f"{database}#run")] == [joins(0)]


def test_a_block_that_somebody_else_put_in_our_place_is_not_written_over(database: str) -> None:
    with open_ledger(f"{database}#run", key=KEY) as chain:
        chain.append(joins(0))
        by_hand(
            database,
            'INSERT INTO blocks SELECT run, 1, previous, body, hash, producer, signature '
            "FROM blocks",
        )  # fmt: skip
        with pytest.raises(LedgerError, match="Something else than flower_relay wrote here"):
            chain.append(joins(1))
        with pytest.raises(LedgerDamagedError, match="expected block 1"):
            list(chain)


def test_a_lost_connection_loses_no_block_and_the_lock_is_not_assumed(database: str) -> None:
    chain = open_ledger(f"{database}#run", key=KEY)
    head = chain.append(joins(0))
    by_hand(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    with pytest.raises(LedgerStorageError, match=r"connection broke.*committed and safe"):
        chain.append(joins(1))
    with pytest.raises(LedgerStorageError, match="connection lost"):
        chain.append(joins(1))
    chain.close()
    with open_ledger(f"{database}#run", key=KEY) as again:
        assert (again.head, len(again)) == (head, 1)


def test_a_table_that_another_session_locks_loses_nothing(database: str) -> None:
    url = database.replace("postgresql://", "postgresql+psycopg://")
    with (
        open_ledger(f"{database}#run", key=KEY, patience=0.05) as chain,
        create_engine(url, poolclass=NullPool).connect() as browser,
    ):
        browser.execute(text("LOCK TABLE blocks"))
        with pytest.raises(LedgerStorageError, match=r"another session.*committed and safe"):
            chain.append(joins(0))
        browser.rollback()
        chain.append(joins(0))
        assert list(chain) == [joins(0)]


def add_notes(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE runs ADD COLUMN notes TEXT"))


def break_down(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE half_done (x INTEGER)"))
    connection.execute(text("SELECT * FROM no_such_table"))


def test_an_older_ledger_is_migrated_wholly_or_not_at_all(database: str) -> None:
    run = f"{database}#run"
    with open_ledger(run, key=KEY) as chain:
        chain.append(joins(0))
    with pytest.raises(LedgerError, match="no_such_table"):
        open_ledger(run, key=KEY, migrations=(*MIGRATIONS, add_notes, break_down))
    assert by_hand(database, "SELECT schema_version FROM ledger_meta") == [(1,)]
    assert by_hand(database, "SELECT to_regclass('half_done')") == [(None,)]

    with open_ledger(run, key=KEY, migrations=(*MIGRATIONS, add_notes)) as chain:
        assert list(chain) == [joins(0)]
    assert by_hand(database, "SELECT schema_version FROM ledger_meta") == [(2,)]
    for use in (lambda: open_ledger(run, key=KEY), lambda: next(read_sealed(run))):
        with pytest.raises(LedgerVersionError, match="version 1 or older, found version 2"):
            use()


def test_a_ledger_goes_on_under_its_own_key_only(database: str) -> None:
    with open_ledger(f"{database}#run", key=KEY) as chain:
        chain.append(joins(0))
    with pytest.raises(KeyFileError, match="the run began with"):
        open_ledger(f"{database}#run", key=OTHER_KEY)


def test_a_run_that_is_not_there_is_told_with_those_that_are(database: str) -> None:
    with pytest.raises(LedgerError, match="found none"):
        next(read_sealed(f"{database}#run"))
    open_ledger(f"{database}#first", key=KEY).close()
    open_ledger(f"{database}#second", key=KEY).close()
    with pytest.raises(LedgerError, match=r"expected a run 'third'.*found first, second"):
        next(read_sealed(f"{database}#third"))


def test_a_user_who_may_only_read_can_read_and_is_told_when_writing(database: str) -> None:
    with open_ledger(f"{database}#run", key=KEY) as chain:
        chain.append(joins(0))
    role = database.rsplit("?")[0].rsplit("/", 1)[1] + "_reader"
    by_hand(
        database,
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
    )
    theirs = database.replace("relay@", f"{role}@") + "#run"
    assert len(list(read_sealed(theirs))) == 1
    with pytest.raises(LedgerStorageError, match=r"this user may not.*Grant it"):
        open_ledger(theirs, key=KEY)


def test_a_database_or_a_server_that_is_not_there_is_told_without_the_password(
    server: str, tmp_path: Path
) -> None:
    nowhere = f"postgresql://relay:secret@/postgres?host={tmp_path}#run"
    with pytest.raises(LedgerStorageError, match="cannot be reached") as refusal:
        open_ledger(nowhere, key=KEY)
    assert "secret" not in str(refusal.value)
    # libpq gives no code for what the server said while connecting
    with pytest.raises(LedgerStorageError, match='"nowhere" does not exist'):
        open_ledger(server.replace("/postgres?", "/nowhere?") + "#run", key=KEY)

"""A ledger in a file: durable, append-only, one writer, and honest about trouble."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine, event, text

from flower_relay.blocks import Admission, Block, Genesis
from flower_relay.chain import MemoryChain
from flower_relay.errors import (
    ConfigurationError,
    KeyFileError,
    LedgerDamagedError,
    LedgerError,
    LedgerInUseError,
    LedgerStorageError,
    LedgerVersionError,
    RelayError,
)
from flower_relay.ledger import (
    OperatorKey,
    SealedBlock,
    open_ledger,
    read_sealed,
    seal,
    verify_signature,
)
from flower_relay.ledger.schema import MIGRATIONS

KEY = OperatorKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER_KEY = OperatorKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))

GENESIS = Genesis(
    settings={"seed": 0}, model="m0", bound=4.5, participants=("ä", "b"), utilities=(0.5, None)
)


def joins(number: int) -> Block:
    return Admission(round=number, participants=(f"p{number}",))


def few(length: int) -> list[Block]:
    return [GENESIS, *(joins(number) for number in range(1, length))]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of three blocks, closed."""
    write(tmp_path / "ledger.db", few(3))
    return tmp_path / "ledger.db"


def write(path: Path, blocks: list[Block]) -> None:
    with open_ledger(path, key=KEY) as chain:
        for block in blocks:
            chain.append(block)


def by_hand(path: Path, *statements: str) -> None:
    """Change a ledger's file behind the library's back."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


UNLOCKED = ("DROP TRIGGER blocks_no_update", "DROP TRIGGER blocks_no_delete")


# The chain.


def test_a_ledger_has_the_same_hashes_as_a_chain_in_memory(tmp_path: Path) -> None:
    memory = MemoryChain()
    with open_ledger(tmp_path / "ledger.db", key=KEY) as chain:
        assert (chain.head, len(chain), list(chain)) == (memory.head, 0, [])
        for block in few(4):
            assert chain.append(block) == memory.append(block) == chain.head
        assert list(chain) == list(memory)
        assert len(chain) == 4


def test_an_opened_ledger_goes_on_where_it_ended(path: Path) -> None:
    memory = MemoryChain()
    for block in few(4):
        memory.append(block)
    with open_ledger(path, key=KEY) as chain:
        assert list(chain) == few(3)
        chain.append(joins(3))
        assert chain.head == memory.head
    assert [sealed.block() for sealed in read_sealed(path)] == few(4)


def test_a_long_ledger_is_read_whole_and_in_order(tmp_path: Path) -> None:
    write(tmp_path / "ledger.db", few(600))
    found = list(read_sealed(tmp_path))
    assert [sealed.index for sealed in found] == list(range(600))
    assert [sealed.block() for sealed in found] == few(600)


def test_a_runs_folder_stands_for_the_ledger_in_it(path: Path) -> None:
    whole = list(read_sealed(path))
    assert list(read_sealed(path.parent)) == list(read_sealed(str(path.parent))) == whole
    assert list(read_sealed(f"sqlite:///{path}")) == whole


def test_the_same_blocks_and_key_make_the_same_ledger(tmp_path: Path) -> None:
    write(tmp_path / "one.db", few(5))
    write(tmp_path / "two.db", few(5))
    assert list(read_sealed(tmp_path / "one.db")) == list(read_sealed(tmp_path / "two.db"))


def test_each_block_is_linked_and_signed_over_the_bytes_of_its_hash(path: Path) -> None:
    before = "0" * 64
    for sealed in read_sealed(path):
        assert sealed.previous == before
        assert sealed.hash == sealed.computed_hash()
        assert sealed.producer == KEY.public
        assert verify_signature(KEY.public, bytes.fromhex(sealed.hash), sealed.signature)
        assert sealed.is_signed()
        before = sealed.hash


def test_any_changed_part_of_a_sealed_block_shows() -> None:
    whole = seal(0, "0" * 64, GENESIS, KEY)
    assert not replace(whole, producer=OTHER_KEY.public).is_signed()
    assert not replace(whole, producer="no key").is_signed()
    assert not replace(whole, signature="zz").is_signed()
    assert not replace(whole, hash="1" * 64).is_signed()
    assert not replace(whole, hash="no hash").is_signed()
    for changed in (replace(whole, previous="1" * 64), replace(whole, body=whole.body + " ")):
        assert changed.computed_hash() != changed.hash


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ('{"kind":"admission","participants":["p"],"round":NaN}', "NaN is not a number"),
        ('{"kind":"admission","participants":["p"], "round":1}', "expected canonical JSON"),
        ('{"kind":"admission","round":1,"participants":["p"]}', "expected canonical JSON"),
        ('{"kind":"admission","participants":["p"],"round":1,"round":1}', "each key once"),
        ('{"kind":"admission","participants":["p"],"round":1.0}', "expected a whole number"),
    ],
)
def test_a_body_that_spells_no_block_in_the_one_way_is_refused(body: str, message: str) -> None:
    sealed = replace(seal(7, "0" * 64, joins(1), KEY), body=body)
    with pytest.raises(LedgerError, match=message):
        sealed.block()


# Append-only.


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE blocks SET body = '{}'",
        'UPDATE blocks SET "index" = 7 WHERE "index" = 2',
        "DELETE FROM blocks",
        "DELETE FROM runs",
        'INSERT INTO blocks SELECT run, "index", previous, body, hash, producer, signature '
        "FROM blocks",
    ],
)
def test_blocks_cannot_be_changed_deleted_or_doubled(path: Path, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        by_hand(path, "PRAGMA foreign_keys=ON", statement)
    assert [sealed.block() for sealed in read_sealed(path)] == few(3)


def test_a_block_that_somebody_else_put_in_our_place_is_not_written_over(path: Path) -> None:
    with open_ledger(path, key=KEY) as chain:
        by_hand(
            path,
            "INSERT INTO blocks SELECT run, 3, previous, body, hash, producer, signature "
            'FROM blocks WHERE "index" = 2',
        )
        with pytest.raises(LedgerError, match="Something else than flower_relay wrote here"):
            chain.append(joins(3))


def test_going_on_from_a_changed_ledger_is_refused_at_the_changed_block(path: Path) -> None:
    by_hand(path, *UNLOCKED, """UPDATE blocks SET body = '{"x":1}' WHERE "index" = 1""")
    with (
        open_ledger(path, key=KEY) as chain,
        pytest.raises(LedgerDamagedError, match="expected block 1 as it was signed"),
    ):
        list(chain)


def test_going_on_from_a_block_that_another_key_signed_is_refused(path: Path) -> None:
    forged = seal(1, next(read_sealed(path)).hash, joins(1), OTHER_KEY)
    by_hand(
        path,
        *UNLOCKED,
        f"UPDATE blocks SET producer = '{forged.producer}', signature = '{forged.signature}' "
        'WHERE "index" = 1',
    )
    with (
        open_ledger(path, key=KEY) as chain,
        pytest.raises(LedgerDamagedError, match=r"expected block 1 .* found one of another key"),
    ):
        list(chain)


def test_going_on_from_a_ledger_with_a_hole_is_refused_at_the_hole(path: Path) -> None:
    by_hand(path, *UNLOCKED, 'DELETE FROM blocks WHERE "index" = 1')
    with (
        open_ledger(path, key=KEY) as chain,
        pytest.raises(LedgerDamagedError, match=r"expected block 1 .* found block 2"),
    ):
        list(chain)


def test_a_changed_last_block_is_found_before_anything_is_added(path: Path) -> None:
    by_hand(path, *UNLOCKED, f"UPDATE blocks SET producer = '{OTHER_KEY.public}'")
    with pytest.raises(LedgerDamagedError, match="expected block 2"):
        open_ledger(path, key=KEY)


def test_commits_reach_the_disk_before_they_return(path: Path) -> None:
    # synchronous 2 is FULL: the log is synced at every commit.
    with on_connect("PRAGMA synchronous", "PRAGMA foreign_keys") as answers:
        open_ledger(path, key=KEY).close()
    assert answers == [2, 1]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@contextmanager
def on_connect(*pragmas: str) -> Iterator[list[Any]]:
    """Run pragmas on every connection that is made; their answers."""
    answers: list[Any] = []

    def ask(connection: Any, _: object) -> None:
        for pragma in pragmas:
            answers.append(connection.execute(pragma).fetchone()[0])

    event.listen(Engine, "connect", ask)
    try:
        yield answers
    finally:
        event.remove(Engine, "connect", ask)


# One writer, any number of readers.

WRITER = """
import sys, time
from pathlib import Path
from flower_relay.blocks import Admission
from flower_relay.ledger import OperatorKey, open_ledger

folder, wait = Path(sys.argv[1]), sys.argv[2] == "wait"
chain = open_ledger(folder, key=OperatorKey.load(folder / "operator.key"))
while True:
    number = len(chain)
    print(chain.append(Admission(round=number, participants=(f"p{number}" * 50,))), flush=True)
    if wait:
        time.sleep(600)
"""


@contextmanager
def writing(folder: Path, *, wait: bool) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes; it has written its first block."""
    command = [sys.executable, "-c", WRITER, str(folder), "wait" if wait else "on"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert len(process.stdout.readline()) == 65
            yield process
        finally:
            process.kill()


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    key = OperatorKey.create(tmp_path / "operator.key")
    with writing(tmp_path, wait=True) as first:
        with pytest.raises(LedgerInUseError) as refusal:
            open_ledger(tmp_path / "ledger.db", key=key)
        message = str(refusal.value)
        assert f"process {first.pid} on {os.uname().nodename} since 20" in message
        assert len(list(read_sealed(tmp_path))) == 1  # readers are welcome

        first.send_signal(signal.SIGKILL)
        first.wait()
        with open_ledger(tmp_path, key=key) as chain:  # nothing has to be cleaned up
            assert len(chain) == 1
            chain.append(joins(1))


def test_what_was_acknowledged_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    key = OperatorKey.create(tmp_path / "operator.key")
    with writing(tmp_path, wait=False) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.read().split()
    with open_ledger(tmp_path, key=key) as chain:
        hashes = [sealed.hash for sealed in chain.sealed_blocks()]
        assert hashes[1 : 1 + len(acknowledged)] == acknowledged
        assert len(list(chain)) == len(hashes) <= len(acknowledged) + 2  # one unheard of


def test_two_writers_in_one_process_are_two_writers(path: Path) -> None:
    with (
        open_ledger(path, key=KEY),
        pytest.raises(LedgerInUseError, match=f"process {os.getpid()}"),
    ):
        open_ledger(path, key=KEY)
    open_ledger(path, key=KEY).close()


def test_a_reader_sees_what_was_committed_while_it_reads(path: Path) -> None:
    with open_ledger(path, key=KEY) as chain:
        reader = read_sealed(path)
        assert next(reader).index == 0
        chain.append(joins(3))
        assert [sealed.index for sealed in reader] == [1, 2, 3]
        assert [sealed.index for sealed in chain.sealed_blocks()] == [0, 1, 2, 3]


def test_a_closed_ledger_takes_no_more_blocks(path: Path) -> None:
    chain = open_ledger(path, key=KEY)
    chain.close()
    with pytest.raises(LedgerStorageError, match="found it closed"):
        chain.append(joins(3))


def test_reading_makes_and_changes_nothing(path: Path, tmp_path: Path) -> None:
    before = path.read_bytes()
    list(read_sealed(path))
    assert path.read_bytes() == before
    with pytest.raises(LedgerError, match="no such file"):
        next(read_sealed(tmp_path / "nowhere" / "ledger.db"))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become nobody")
def test_an_archive_that_cannot_be_written_can_be_read() -> None:
    with tempfile.TemporaryDirectory() as archive:
        write(Path(archive) / "ledger.db", few(3))
        Path(archive).chmod(0o555)
        os.setresuid(65534, 65534, 0)
        try:
            assert len(list(read_sealed(archive))) == 3
            with pytest.raises(LedgerStorageError, match="Nothing was changed"):
                open_ledger(archive, key=KEY)
        finally:
            os.setresuid(0, 0, 0)


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


def test_messages_keep_passwords_to_themselves() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        open_ledger("mysql://user:secret@host/runs#r", key=KEY)
    assert "secret" not in str(refusal.value)


# Keys.


def test_a_key_file_is_for_its_owner_only_and_gives_the_same_key_again(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "operator.key"
    key = OperatorKey.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert OperatorKey.load(path).public == OperatorKey.load_or_create(path).public == key.public
    assert [each.name for each in path.parent.iterdir()] == ["operator.key"]


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    key = OperatorKey.create(tmp_path / "operator.key")
    with pytest.raises(KeyFileError, match="is there already"):
        OperatorKey.create(tmp_path / "operator.key")
    assert OperatorKey.load(tmp_path / "operator.key").public == key.public


def test_those_who_make_a_key_at_once_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "operator.key"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: OperatorKey.load_or_create(path).public, range(16)))
    assert len(set(keys)) == 1


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n", b"\xff\x00"])
def test_a_file_that_holds_no_key_is_told_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "operator.key"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="holds something else"):
        OperatorKey.load_or_create(path)
    assert path.read_bytes() == content


def test_a_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        OperatorKey.load(tmp_path / "operator.key")


def test_a_signature_is_of_one_key_over_one_text() -> None:
    signature = KEY.sign(b"text")
    assert verify_signature(KEY.public, b"text", signature)
    assert not verify_signature(KEY.public, b"test", signature)
    assert not verify_signature(OTHER_KEY.public, b"text", signature)
    assert not verify_signature("no key", b"text", signature)
    assert not verify_signature(KEY.public, b"text", "no signature")


def test_a_key_shows_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "operator.key"
    assert (
        repr(OperatorKey.create(path)) == f"OperatorKey(public={OperatorKey.load(path).public!r})"
    )


def test_a_sealed_block_holds_no_key_and_no_time() -> None:
    sealed = seal(0, "0" * 64, joins(1), KEY)
    assert sealed == SealedBlock(
        index=0,
        previous="0" * 64,
        body=json.dumps(
            {"kind": "admission", "participants": ["p1"], "round": 1}, separators=(",", ":")
        ),
        hash=sealed.computed_hash(),
        producer=KEY.public,
        signature=KEY.sign(bytes.fromhex(sealed.hash)),
    )

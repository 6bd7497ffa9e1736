"""A ledger in a file: durable, append-only, one writer, any number of readers."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from flower_relay.errors import (
    LedgerDamagedError,
    LedgerError,
    LedgerInUseError,
    LedgerStorageError,
)
from flower_relay.ledger import OperatorKey, open_ledger, read_sealed, seal, verify_signature
from flower_relay.ledger.chain import MemoryChain
from flower_relay.mechanism.blocks import Admission
from tests.ledgers import KEY, OTHER_KEY, UNLOCKED, by_hand, few, joins, on_connect, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of three blocks, closed."""
    write(tmp_path / "ledger.db", few(3))
    return tmp_path / "ledger.db"


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


# One writer, any number of readers.

WRITER = """
import sys, time
from pathlib import Path
from flower_relay.mechanism.blocks import Admission
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


def test_who_opens_a_run_twice_is_told_what_to_close(path: Path) -> None:
    with (
        open_ledger(path, key=KEY),
        pytest.raises(LedgerInUseError, match=r"this very process.*strategy\.chain\.close\(\)"),
    ):
        open_ledger(path, key=KEY)


def test_a_forked_child_keeps_no_run_locked_and_writes_nothing(path: Path) -> None:
    chain = open_ledger(path, key=KEY)
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:  # lives on after its parent has let go of the run
        os.close(tell)
        code = 1
        try:
            os.read(told, 1)
            with pytest.raises(LedgerStorageError, match="found it closed"):
                chain.append(joins(3))
            code = int(list(chain) != few(3))
        finally:
            os._exit(code)
    os.close(told)
    with pytest.raises(LedgerInUseError):  # the child did not unlock what is its parent's
        open_ledger(path, key=KEY)
    chain.close()
    open_ledger(path, key=KEY).close()
    os.write(tell, b".")
    os.close(tell)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_writer_that_is_dead_is_told_from_one_that_lives(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    by_hand(path, f"UPDATE runs SET pid = {dead.pid}, host = '{os.uname().nodename}'")
    with (
        path.with_name("ledger.db.lock").open("ab") as left_behind,
        pytest.raises(LedgerInUseError, match=r"does not live here any more.*fuser"),
    ):
        fcntl.flock(left_behind, fcntl.LOCK_EX)
        open_ledger(path, key=KEY)


def test_a_closed_ledger_can_still_be_read(path: Path) -> None:
    chain = open_ledger(path, key=KEY)
    chain.close()
    chain.close()
    with open_ledger(path, key=KEY) as other:
        assert (len(chain), chain.head, list(chain)) == (3, other.head, few(3))


def test_a_block_that_nobody_would_read_is_not_written(path: Path) -> None:
    with open_ledger(path, key=KEY) as chain:
        with pytest.raises(LedgerError, match="a block of at most"):
            chain.append(Admission(round=3, participants=("p" * 2**24,)))
        chain.append(joins(3))
        assert list(chain) == few(4)


def test_blocks_that_were_added_since_are_read_on(path: Path) -> None:
    read = read_sealed(path)
    assert [sealed.index for sealed in read] == [0, 1, 2]
    assert list(read.later()) == []
    with open_ledger(path, key=KEY) as chain:
        chain.append(joins(3))
    later = read.later()
    assert [sealed.index for sealed in later] == [3]
    assert list(later.later()) == []


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

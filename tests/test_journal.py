"""The file of a node's memory: lines that are there whole or not at all, in room made before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_relay.node.journal import Journal, OvertakenError
from flower_relay.node.mod import relay_mod
from tests.signers import Asking
from tests.test_memory import train, vote
from tests.test_mods import a_node, record, said, weights

START: dict[str, Any] = {"all": []}


def journal(path: Path, *numbers: int) -> Journal:
    found = Journal(path)
    found.write(START)
    assert all(found.add({"n": number}) for number in numbers)
    return found


def test_lines_are_read_as_they_were_written_and_the_file_does_not_grow(tmp_path: Path) -> None:
    path = tmp_path / "j"
    made = journal(path, 1, 2)
    size = path.stat().st_size
    assert made.add({"n": 3})
    assert path.stat().st_size == size
    assert Journal(path).lines == [START, {"n": 1}, {"n": 2}, {"n": 3}]


def test_a_file_without_room_takes_no_line_until_it_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "j"
    made = journal(path)
    added = 0
    while made.add({"n": added}):
        added += 1
    assert added > 1000 and len(Journal(path).lines) == 1 + added
    made.write({"all": [added]})
    assert made.add({"n": 1})
    assert Journal(path).lines == [{"all": [added]}, {"n": 1}]


@settings(max_examples=60, deadline=None)
@given(lost=st.sets(st.integers(0, 5)), bytes_each=st.sampled_from([1, 7, 16]))
def test_a_torn_line_is_as_if_it_was_never_written(
    tmp_path_factory: pytest.TempPathFactory, lost: set[int], bytes_each: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "j"
    journal(path, 1)
    before = path.read_bytes()
    assert Journal(path).add({"head": "ab" * 16, "n": {"x": 2}})
    written = path.read_bytes()
    torn = bytearray(written)
    changed = [place for place in range(len(torn)) if torn[place] != before[place]]
    for piece in lost:  # pieces of what was written did not reach the disk
        start = changed[0] + piece * bytes_each
        torn[start : start + bytes_each] = before[start : start + bytes_each]
    path.write_bytes(torn)
    again = Journal(path)
    whole = [START, {"n": 1}, {"head": "ab" * 16, "n": {"x": 2}}]
    assert again.lines == (whole if torn == written else whole[:2])
    if not again.add({"n": 3}):  # torn room is not written into
        again.write(START)
    assert Journal(path).lines in ([*again.lines, {"n": 3}], [START])


def test_what_is_damaged_before_the_last_line_is_told(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal(path, 1, 2)
    path.write_bytes(path.read_bytes().replace(b'{"n":1}', b'{"n":1]'))
    with pytest.raises(ValueError, match="is no line of it"):
        Journal(path)


def test_who_reads_before_another_writes_does_not_write_over_it(tmp_path: Path) -> None:
    path = tmp_path / "j"
    first = Journal(path)
    late = Journal(path)
    first.write(START)
    for turn in (late, Journal(path)):
        assert first.add({"n": 1})
        with pytest.raises(OvertakenError):
            turn.write(START)
    other = Journal(path)
    assert first.add({"n": 2})
    with pytest.raises(OvertakenError):
        other.add({"n": 3})


def test_a_memory_that_was_written_a_hundred_times_holds_what_one_written_whole_would(
    tmp_path: Path,
) -> None:
    path, chain = tmp_path / "k", Asking()
    for number in range(1, 101):
        node = a_node(relay_key=str(path))
        chain = chain.grow()
        assert said(train(node, chain.told(number), 1))["signature"]
        assert said(vote(node, chain.told(number), 2 + number % 3))["signatures"]
    node = a_node(relay_key=str(path))
    assert "one in a round" in said(train(node, chain.told(100), 7))["refused"]
    assert "rolled back" in said(train(node, chain.told(99), 1))["refused"]
    first, again = (said(vote(node, chain.told(100), 3)) for _ in range(2))
    assert first["signatures"] == again["signatures"]
    assert path.with_suffix(".memory").stat().st_size < 150_000


def test_a_hop_that_ends_after_another_message_was_answered_is_not_signed(tmp_path: Path) -> None:
    path, chain = tmp_path / "k", Asking().grow()
    slow = ClientApp(mods=[relay_mod])

    @slow.train()
    def answer_another_meanwhile(message: Message, context: Context) -> Message:
        other = a_node(relay_key=str(path))
        assert said(train(other, chain.grow().told(2), 1))["signature"]
        return Message(RecordDict({"arrays": record(weights(9))}), reply_to=message)

    answer = said(train(a_node(relay_key=str(path)), chain.told(1), 1, slow))
    assert "another process" in answer["refused"] and "signature" not in answer

"""What becomes of a participant whose mod says something else than it did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, Message

from flower_relay.mechanism.blocks import Testing as Examined
from flower_relay.mechanism.identity import participant_name
from flower_relay.node.keys import load_or_create
from flower_relay.wire.statements import Moment, Opening, Vote, public_hex, sign
from tests.signers import NODES, App, descending, genesis_of, play, verify


def altered(change: Callable[[ConfigRecord, Message], None], partition: int = 2) -> App:
    """One node says something else than its mod does, once the run has begun."""
    app = descending()

    def altering(message: Message, context: Context) -> Message:
        reply = app(message, context)
        asked = message.content["config"]
        if context.node_config["partition-id"] == partition and "relay-hello" not in asked:
            change(reply.content["relay"], message)
        return reply

    return altering


def test_a_hop_without_its_trainers_signature_is_at_fault_like_an_error(keys: Path) -> None:
    def change(said: ConfigRecord, message: Message) -> None:
        if message.metadata.message_type == "train":
            said["signature"] = "00" * 64

    strategy = play(altered(change), keys, rounds=8, deposit_unit=0.1)
    mine = participant_name(public_hex(load_or_create(keys / "participant-2.key")))
    index = genesis_of(list(strategy.chain))[0].participants.index(mine)
    outcomes = {hop.outcome for hop in strategy.record.hops if hop.trainer == index}
    assert outcomes == {"unsigned"}
    others = {hop.outcome for hop in strategy.record.hops if hop.trainer != index}
    assert "unsigned" not in others and "accepted" in others
    who = strategy.record.participants[index]
    assert who.rejected > 0 == who.accepted
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem


def test_a_vote_without_its_examiners_signature_does_not_count(keys: Path) -> None:
    def change(said: ConfigRecord, message: Message) -> None:
        if "values" in said:
            said["values"] = [0.01] * len(said["values"])

    strategy = play(altered(change), keys, examiners=NODES)
    mine = participant_name(public_hex(load_or_create(keys / "participant-2.key")))
    index = genesis_of(list(strategy.chain))[0].participants.index(mine)
    seats = [
        row[block.committee.index(index)]
        for block in strategy.chain
        if isinstance(block, Examined) and index in block.committee
        for row in block.utilities
    ]
    assert seats and set(seats) == {None}
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "11" * 32},
        {"nonce": "no nonce"},
        {"nonce": 7},
        {"signature": "00" * 64},
        {"signature": 1.0},
    ],
)
def test_who_does_not_open_its_nonce_properly_is_left_out(
    keys: Path, wrong: dict[str, Any]
) -> None:
    def change(said: ConfigRecord, message: Message) -> None:
        if "relay-reveal" in message.content["config"]:
            said.update(wrong)

    verdict = verify(play(altered(change), keys, rounds=6, nonces=NODES).chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.draws_with_nonces == 6 and verdict.nonces_withheld > 0


def test_who_opens_another_nonce_than_it_committed_is_left_out(keys: Path) -> None:
    own = load_or_create(keys / "participant-2.key")

    def change(said: ConfigRecord, message: Message) -> None:
        config = message.content["config"]
        if "relay-reveal" in config:
            opening = Opening(at=at_of(config), nonce="11" * 32)
            said.update({"nonce": opening.nonce, "signature": sign(own, opening)})

    verdict = verify(play(altered(change), keys, rounds=6, nonces=NODES).chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.nonces_withheld > 0


@pytest.mark.parametrize("value", [7e200, -0.1, float("nan"), float("-inf")])
def test_a_signed_value_counts_as_the_ledger_bounds_it(keys: Path, value: float) -> None:
    own = load_or_create(keys / "participant-2.key")

    def change(said: ConfigRecord, message: Message) -> None:
        config = message.content["config"]
        if "values" in said:
            stated = value if abs(value) < float("inf") else None
            votes = [
                Vote(
                    at=at_of(config), model=model, shown=shown, metric="eval_loss", value=stated,
                    error=None, cases=5,
                )
                for model, shown in zip(config["relay-models"], config["relay-shown"], strict=True)
            ]  # fmt: skip
            said["values"] = [value] * len(votes)
            said["signatures"] = [sign(own, vote) for vote in votes]

    strategy = play(altered(change), keys, examiners=NODES)
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem
    mine = participant_name(public_hex(own))
    index = genesis_of(list(strategy.chain))[0].participants.index(mine)
    cast = {
        row[block.committee.index(index)]
        for block in strategy.chain
        if isinstance(block, Examined) and index in block.committee
        for row in block.utilities
    }
    assert cast == {1.0 if value == -0.1 else 0.0}


def at_of(config: ConfigRecord) -> Moment:
    """The moment that a message speaks of."""
    return Moment(
        operator=str(config["relay-operator"]), run=str(config["relay-run"]),
        round=int(config["relay-round"]), head=str(config["relay-head"]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ({"signatures": ["00" * 64]}, "there is no signature of the examiner's under what it"),
        ({"values": ["0.5"]}, "its mod told no number that it measured"),
    ],
)
def test_an_examiner_whose_vote_does_not_count_is_named_once_with_the_reason(
    spoil: dict[str, Any], reason: str, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inner = descending()

    def app(message: Message, context: Context) -> Message:
        reply = inner(message, context)
        said = reply.content.get("relay")
        if context.node_config["partition-id"] == 2 and said and "values" in said:
            reply.content["relay"] = ConfigRecord({**said, **spoil})
        return reply

    with caplog.at_level("WARNING", logger="flwr"):
        strategy = play(app, keys, examiners=NODES)
    [notice] = strategy.record.notices.of_kind("no vote")
    assert reason in notice.reason and notice.count > 1
    assert caplog.text.count(": no vote: ") == 1


@pytest.mark.parametrize("told", ["short", "AB" * 32, 5, "x" * 1000])
def test_what_is_no_hash_is_not_committed(keys: Path, told: Any) -> None:
    def change(said: ConfigRecord, message: Message) -> None:
        said["nonce-hash"] = told

    verdict = verify(play(altered(change), keys, nonces=NODES).chain)
    assert verdict.ok, verdict.first_problem

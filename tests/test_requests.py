"""Requests of any kind to a node that signs (`experiments.faults.requests` asks more)."""

from __future__ import annotations

import pytest
from flwr.app import Message, RecordDict

from flower_relay.transport.adapter import identify_process, stamp
from flower_relay.wire.statements import Hop
from tests.nodes import TRAIN, a_node, ask, name_of, tiny_app, weights
from tests.requests import OTHER, Signed, fuzz
from tests.signers import Asking


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_a_node_is_asked_nothing_is_signed_that_should_not_be(seed: int) -> None:
    counts, wrong = fuzz(240, seed)
    assert wrong == []
    assert counts["statements signed"] > 20 < counts["refused, with an error"]
    assert sum(counts.values()) - counts["statements signed"] == 240


def replied(config: dict[str, object], change: dict[str, object]) -> tuple[Signed, Message]:
    node = a_node()
    reply = ask(tiny_app(), node, "train", config | {"relay-parent": name_of(1.0)}, weights(1.0))
    reply.content["relay"].update(change)
    identify_process(1)
    given = stamp(Message(RecordDict(), 1001, "train", group_id="1.0"), "message-2")
    return Signed(), Message(reply.content, reply_to=given)


def test_the_check_finds_a_signature_under_something_else() -> None:
    signed, reply = replied(TRAIN, {})
    signed.add(TRAIN, reply)
    assert signed.wrong == []
    forged, reply = replied(TRAIN, {"signature": "00" * 64})
    forged.add(TRAIN, reply)
    assert "a signature under something else" in forged.wrong[0]


def test_the_check_finds_two_hops_of_a_round_and_two_operators() -> None:
    signed = Signed()
    for model, chain in [("11" * 32, Asking().grow()), ("22" * 32, Asking(key=OTHER).grow())]:
        hop = Hop(at=chain.moment(), parent=name_of(1.0), model=model)
        signed._grows(hop.at, 1)
        signed._only_once(hop)
    assert any("two operators" in each for each in signed.wrong)
    assert any("beside" in each for each in signed.wrong)

"""The mod signs what a participant did, reveals a nonce once, and else keeps out of the way."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from flwr.app import (
    ConfigRecord,
    Context,
    Message,
    RecordDict,
)
from flwr.clientapp import ClientApp

from flower_relay.errors import RefusedError
from flower_relay.node.mod import relay_mod
from flower_relay.transport.adapter import error
from flower_relay.transport.in_memory import InMemoryGrid
from flower_relay.wire.statements import Hello, Hop, Opening, Vote, check, node_hash
from tests.nodes import (
    BLOCK,
    CHAIN,
    RUN,
    TRAIN,
    VOTE,
    a_node,
    ask,
    name_of,
    record,
    said,
    tiny_app,
    weights,
)
from tests.signers import OPERATOR

# What is signed.


def test_a_trainer_signs_the_round_the_model_it_got_and_the_model_it_made() -> None:
    answer = said(ask(tiny_app(), a_node(), "train", TRAIN, weights(1)))
    hop = Hop(at=CHAIN.moment(3), parent=name_of(1), model=name_of(2))
    assert check(answer["public-key"], hop, answer["signature"])
    for other in (
        replace(hop, at=replace(hop.at, run=BLOCK)),
        replace(hop, at=replace(hop.at, operator=BLOCK)),
        replace(hop, at=replace(hop.at, head=BLOCK)),
        replace(hop, at=replace(hop.at, round=4)),
        replace(hop, parent=name_of(0)),
        replace(hop, model=name_of(3)),
    ):
        assert not check(answer["public-key"], other, answer["signature"])


@pytest.mark.parametrize("loss", [1.0, 9.0, -2.5])
def test_an_examiner_signs_the_metric_by_its_name_as_the_clientapp_reports_it(loss: float) -> None:
    answer = said(ask(tiny_app(), a_node(), "evaluate", VOTE, weights(loss)))
    assert (answer["values"], answer["cases"], answer["voted"]) == ([loss], [5], [True])
    shown = name_of(loss)
    vote = Vote(
        at=CHAIN.moment(3), model=shown, shown=shown, metric="eval_loss", value=loss, error=None,
        cases=5,
    )  # fmt: skip
    [signature] = answer["signatures"]
    assert check(answer["public-key"], vote, signature)
    for change in ({"value": 0.5}, {"metric": "eval_acc"}, {"cases": 4}, {"error": 0.0}):
        assert not check(answer["public-key"], replace(vote, **change), signature)


@pytest.mark.parametrize(
    "asked", [{"relay-bound": 1e-9}, {"relay-rises": True}, {"relay-bound": 0}]
)
def test_what_becomes_of_a_metric_is_not_the_askers_to_say(asked: dict[str, Any]) -> None:
    answer = said(ask(tiny_app(), a_node(), "evaluate", VOTE | asked, weights(1)))
    assert answer["values"] == [1.0]


def test_who_does_not_report_the_metric_casts_no_vote() -> None:
    config = VOTE | {"relay-metric": "eval_acc"}
    answer = said(ask(tiny_app(), a_node(), "evaluate", config, weights(1)))
    assert answer["voted"] == [False] and answer["signatures"] == [""]


def test_a_challenge_is_answered_under_the_key_that_the_node_names() -> None:
    config = CHAIN.told(0) | {"relay-hello": BLOCK}
    answer = said(ask(tiny_app(), a_node(), "evaluate", config, weights(1)))
    node = node_hash(BLOCK, 1001)
    hello = Hello(operator=OPERATOR.public, run=RUN, challenge=BLOCK, node=node)
    assert check(answer["public-key"], hello, answer["hello-signature"])
    assert "utility" not in answer and "signature" not in answer


# Whom it serves.


@pytest.mark.parametrize("config", [{}, {"lr": 0.1, "server-round": 1}])
@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_a_server_that_does_not_speak_relay_sees_no_difference(
    kind: str, config: dict[str, Any]
) -> None:
    node = a_node(relay_max_bytes=1)
    reply = ask(tiny_app(), node, kind, config, weights(1))
    assert set(reply.content) == {"arrays" if kind == "train" else "metrics"}
    assert not node.state


def test_another_kind_of_message_is_the_apps_own_business() -> None:
    app = ClientApp(mods=[relay_mod])

    @app.query()
    def query(message: Message, context: Context) -> Message:
        return Message(RecordDict({"heard": ConfigRecord({"yes": True})}), reply_to=message)

    assert set(ask(app, a_node(), "query", TRAIN).content) == {"heard"}


def test_an_apps_own_error_is_handed_on_unsigned() -> None:
    def fails(message: Message, context: Context) -> Message:
        return Message(error(2, "no data here"), reply_to=message)

    def app(message: Message, context: Context) -> Message:
        return relay_mod(message, context, fails)

    for kind, config in (("train", TRAIN), ("evaluate", VOTE)):
        assert ask(app, a_node(), kind, config, weights(1)).error.reason == "no data here"


def test_it_works_through_a_grid_and_every_node_is_somebody_else() -> None:
    grid = InMemoryGrid(tiny_app(), 3)
    content = {"arrays": record(weights(1)), "config": ConfigRecord(TRAIN)}
    messages = [Message(RecordDict(content), n, "train") for n in grid.get_node_ids()]
    answers = [said(reply) for reply in grid.send_and_receive(messages)]
    hop = Hop(at=CHAIN.moment(3), parent=name_of(1), model=name_of(2))
    assert all(check(one["public-key"], hop, one["signature"]) for one in answers)
    assert len({one["public-key"] for one in answers}) == 3
    assert len({one["nonce-hash"] for one in answers}) == 3


# Nonces.


def reveal(hash: str, round: int = 3) -> dict[str, Any]:
    return CHAIN.told(round) | {"relay-reveal": hash}


def test_a_nonce_is_opened_for_one_commitment_block_without_running_the_app() -> None:
    node = a_node()
    hash = said(ask(tiny_app(), node, "train", TRAIN, weights(1)))["nonce-hash"]
    reply = ask(tiny_app(), node, "evaluate", reveal(hash))  # its app would need a model
    answer = said(reply)
    assert set(reply.content) == {"relay"}
    assert answer.keys() == {"public-key", "nonce", "signature", "seen", "nonce-hash"}
    assert hashlib.sha256(bytes.fromhex(answer["nonce"])).hexdigest() == hash
    opening = Opening(at=CHAIN.moment(3), nonce=answer["nonce"])
    assert check(answer["public-key"], opening, answer["signature"])
    elsewhere = replace(opening, at=replace(opening.at, head=RUN))
    assert not check(answer["public-key"], elsewhere, answer["signature"])


def test_one_nonce_is_opened_a_round_and_each_once() -> None:
    node, app = a_node(), tiny_app()
    first, second = (
        said(ask(app, node, "evaluate", VOTE, weights(w)))["nonce-hash"] for w in (1, 2)
    )
    opened = said(ask(app, node, "evaluate", reveal(first)))
    assert said(ask(app, node, "evaluate", reveal(first))) == opened
    assert "one in a round" in said(ask(app, node, "evaluate", reveal(second)))["refused"]
    with pytest.raises(RefusedError, match="opened already"):
        ask(app, node, "evaluate", reveal(first, 4))
    assert said(ask(app, node, "evaluate", reveal(second, 4)))["nonce"]
    with pytest.raises(RefusedError, match="never committed"):
        ask(app, a_node(), "evaluate", reveal(second))


def test_a_reveal_that_is_not_of_a_hash_is_refused_and_costs_no_nonce() -> None:
    node, app = a_node(), tiny_app()
    hash = said(ask(app, node, "train", TRAIN, weights(1)))["nonce-hash"]
    with pytest.raises(RefusedError, match=r"relay-reveal .* expected a hash"):
        ask(app, node, "evaluate", reveal("7"))
    assert said(ask(app, node, "evaluate", reveal(hash)))["nonce"]


def test_only_the_last_32_nonces_wait() -> None:
    node, app = a_node(), tiny_app()
    hashes = [said(ask(app, node, "evaluate", VOTE, weights(1)))["nonce-hash"] for _ in range(33)]
    with pytest.raises(RefusedError, match="older than the last"):
        ask(app, node, "evaluate", reveal(hashes[0]))
    for round, hash in enumerate(hashes[1:], 4):
        assert said(ask(app, node, "evaluate", reveal(hash, round)))["nonce"]


# What is refused.


@pytest.mark.parametrize(
    ("kind", "change", "expected"),
    [
        ("train", {"relay-run": ""}, "relay-run .* a hash"),
        ("train", {"relay-operator": 5}, "relay-operator .* a hash"),
        ("train", {"relay-operator": "00" * 32}, "expected the signature of operator 0000"),
        ("train", {"relay-head": "zz"}, "relay-head .* a hash"),
        ("train", {"relay-round": 1.5}, "relay-round .* a whole number"),
        ("train", {"relay-round": True}, "relay-round .* a whole number"),
        ("train", {"relay-height": -1}, "relay-height .* a whole number"),
        ("train", {"relay-height": 10**5000}, "found a number beyond 2"),
        ("train", {"relay-height": 2}, "found another"),
        ("train", {"relay-head-signature": "00" * 64}, "found another"),
        ("train", {"relay-links": b"7"}, "relay-links .* links of 32 bytes"),
        ("train", {"relay-links": bytes(32 * (2**16 + 1))}, "relay-links .* links of 32 bytes"),
        ("train", {"relay-parent": ["x" * 99] * 10**6}, r"relay-parent announces model \['xxx"),
        ("evaluate", {"relay-metric": True}, "relay-metric .* a text that is not empty"),
        ("evaluate", {"relay-metric": "x" * 1001}, "above 1000 characters"),
        ("evaluate", {"relay-hello": 7}, "relay-hello .* a hash"),
    ],
)
def test_terms_that_cannot_be_read_are_named(
    kind: str, change: dict[str, Any], expected: str
) -> None:
    config = (TRAIN if kind == "train" else VOTE) | change
    with pytest.raises(RefusedError, match=expected):
        ask(tiny_app(), a_node(), kind, config, weights(1))

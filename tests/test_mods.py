"""The mod signs what a participant did, reveals a nonce once, and else keeps out of the way."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp

from flower_relay.errors import ConfigurationError, RefusedError
from flower_relay.node.mod import make_relay_mod, relay_mod
from flower_relay.store import canonical_bytes, model_name
from flower_relay.transport.adapter import error, identify_process, stamp
from flower_relay.transport.in_memory import InMemoryGrid
from flower_relay.wire.parcels import PARCEL, parcel_of, whole
from flower_relay.wire.statements import Hello, Hop, Opening, Vote, check, node_hash
from tests.signers import OPERATOR, Asking

RUN, BLOCK = "a1" * 32, "b2" * 32
CHAIN = Asking(RUN).grow()
TRAIN = CHAIN.told(3)
VOTE = CHAIN.told(3) | {"relay-metric": "eval_loss"}


def weights(value: float) -> dict[str, np.ndarray]:
    return {"w": np.full(3, value, np.float32), "steps": np.array(7)}


def name_of(value: float) -> str:
    return model_name(canonical_bytes(weights(value)))


def record(arrays: Mapping[str, np.ndarray]) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def tiny_app(mod: Any = relay_mod, *, result: ArrayRecord | None = None) -> ClientApp:
    """Training adds 1 to every weight; the loss is the first weight."""
    app = ClientApp(mods=[mod])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        arrays = {key: array.numpy() for key, array in message.content["arrays"].items()}
        trained = record(arrays | {"w": arrays["w"] + 1}) if result is None else result
        return Message(RecordDict({"arrays": trained}), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        loss = float(message.content["arrays"]["w"].numpy()[0])
        metrics = MetricRecord({"eval_loss": loss, "num-examples": 5})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def a_node(run_config: Mapping[str, Any] | None = None, **node_config: Any) -> Context:
    given = {key.replace("_", "-"): value for key, value in node_config.items()}
    return Context(1, 1001, given, RecordDict(), dict(run_config or {}))


def ask(
    app: Any, node: Context, kind: str, config: Mapping[str, Any], arrays: Any = None
) -> Message:
    identify_process(1)
    content = RecordDict({"config": ConfigRecord(dict(config))})
    if arrays is not None:
        content["arrays"] = arrays if isinstance(arrays, ArrayRecord) else record(arrays)
    reply = app(stamp(Message(content, node.node_id, kind), "message-1"), node)
    assert isinstance(reply, Message)
    return reply


def said(reply: Message) -> dict[str, Any]:
    return dict(reply.content["relay"])


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
    assert answer.keys() == {"public-key", "nonce", "signature", "seen"}
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


def test_a_model_that_is_not_the_one_announced_is_not_trained_on() -> None:
    trained: list[int] = []

    def app(message: Message, context: Context) -> Message:
        return relay_mod(message, context, lambda m, c: trained.append(1))  # type: ignore[arg-type, return-value]

    with pytest.raises(RefusedError, match=f"{name_of(0)[:12]}.*{name_of(1)[:12]}"):
        ask(app, a_node(), "train", TRAIN | {"relay-parent": name_of(0)}, weights(1))
    assert not trained
    announced = TRAIN | {"relay-parent": name_of(1)}
    assert said(ask(tiny_app(), a_node(), "train", announced, weights(1)))["signature"]


def packed(data: bytes, stype: str = "numpy.ndarray") -> ArrayRecord:
    return ArrayRecord({"w": Array("float32", (1,), stype, data)})


def npy(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def announced(shape: str) -> bytes:
    """A numpy file that says it is of some shape, and holds one number."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)


def archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, w=np.zeros(1))
    return buffer.getvalue()


UNFIT = [
    (record({"w": np.array([np.nan])}), "it holds NaN"),
    (record({"w": np.array([1j])}), "of type complex128; read are bool, complex64"),
    (record({"w": np.array(["text"])}), "of type <U4"),
    (record({"w": np.array(["2020-01-01"], "datetime64[D]")}), "of type datetime64"),
    (record({"w": np.zeros(2, np.longdouble)}), "of type float128"),
    (packed(npy(np.array([{"a": 1}], object), allow_pickle=True)), "of type object"),
    (packed(archive()), "no numpy file"),
    (packed(b""), "no numpy file"),
    (packed(npy(np.zeros(9))[:-1]), "announces 9 numbers of 8 bytes, and 71 bytes are there"),
    (packed(npy(np.zeros(9)) + b"more"), "76 bytes are there"),
    (packed(announced("(10000000000000,)")), "announces 10000000000000 numbers"),
    (packed(announced("(-1, -1)")), "announces 1 numbers"),
    (packed(announced("(0, 36893488147419103232)")[:-8]), "shape is not possible"),
    (packed(announced("(" + "-" * 9000 + "1,)")), "no numpy file"),
    (packed(npy(np.zeros(1)), "pickle"), "packed as 'pickle'"),
    (record({"__metadata__": np.zeros(1)}), "is reserved by safetensors"),
]
"""What is neither trained on nor handed on, whoever it comes from."""


@pytest.mark.parametrize(("arrays", "found"), UNFIT)
def test_arrays_that_are_no_fit_numbers_are_neither_used_nor_signed(
    arrays: ArrayRecord, found: str
) -> None:
    for kind, config in (("train", TRAIN), ("evaluate", VOTE)):
        with pytest.raises(RefusedError, match=found):
            ask(tiny_app(), a_node(), kind, config, arrays)
    with pytest.raises(RefusedError, match=f"the ClientApp's reply.*{found}"):
        ask(tiny_app(result=arrays), a_node(), "train", TRAIN, weights(1))


@pytest.mark.parametrize("name", ["", "a\x00b", "a\nb", "\x1b[2J", "\u202eb"])
def test_a_name_that_nobody_can_read_is_told_to_the_clientapp(name: str) -> None:
    result = record({"w": np.zeros(1), name: np.zeros(1)})
    with pytest.raises(RefusedError, match=r"its name (is empty|holds characters)"):
        ask(tiny_app(result=result), a_node(), "train", TRAIN, weights(1))
    # The server chose to begin with such a name: it is not the node's to judge.
    arrays = weights(1) | {name: np.zeros(1)}
    assert said(ask(tiny_app(), a_node(), "train", TRAIN, arrays))["signature"]


def test_an_infinity_is_a_fault_of_who_put_it_there() -> None:
    mask = np.triu(np.full((3, 3), -np.inf, np.float32), 1)
    given = weights(1) | {"mask": mask}
    for kind, config in (("train", TRAIN), ("evaluate", VOTE)):
        answer = said(ask(tiny_app(), a_node(), kind, config, given))
        assert answer["signature" if kind == "train" else "signatures"]
    for wrong in (-mask, mask.T, np.full((3, 3), -np.inf, np.float32)):
        result = record(weights(2) | {"mask": wrong})
        with pytest.raises(RefusedError, match=r"array 'mask'.*NaN, or an infinity that its base"):
            ask(tiny_app(result=result), a_node(), "train", TRAIN, given)


def test_why_something_was_refused_is_logged_at_the_node(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RefusedError):
        ask(tiny_app(), a_node(), "train", TRAIN, {"w": np.array(["text"])})
    assert "array 'w' should be a numpy array of finite numbers" in caplog.text


def test_what_a_node_that_does_not_sign_cannot_read_is_sent_as_it_is() -> None:
    silent = make_relay_mod(lasting_keys_only=True)
    result = record({"w": np.array(["text"])})
    reply = ask(tiny_app(silent, result=result), a_node(), "train", TRAIN, weights(1))
    assert reply.content["arrays"]["w"].data == result["w"].data
    assert set(said(reply)) == {"holds"}


@pytest.mark.parametrize(
    ("given", "computed", "handed_on"),
    [("f8", "f4", "f8"), ("f4", "f8", "f4"), ("f4", "f2", "f4"), ("f2", "f4", "f4")],
)
def test_a_result_of_another_width_is_signed_in_its_bases_type_where_nothing_is_lost(
    given: str, computed: str, handed_on: str
) -> None:
    result = {"w": np.array([0.1, 3.0]).astype(computed)}
    config = TRAIN | {"relay-up": "none"}
    base = {"w": np.zeros(2, given)}
    reply = ask(tiny_app(result=record(result)), a_node(), "train", config, base)
    expected = {"w": result["w"].astype(handed_on)}
    sent = reply.content["arrays"]["w"].numpy()
    assert (sent.dtype, sent.tolist()) == (np.dtype(handed_on), expected["w"].tolist())
    made = model_name(canonical_bytes(expected))
    hop = Hop(at=CHAIN.moment(3), parent=model_name(canonical_bytes(base)), model=made)
    assert check(said(reply)["public-key"], hop, said(reply)["signature"])


def test_a_message_holds_one_model() -> None:
    with pytest.raises(RefusedError, match="holds 0"):
        ask(tiny_app(), a_node(), "train", TRAIN)


def test_a_model_above_the_limit_is_refused_before_it_is_unpacked() -> None:
    arrays = record(weights(1))
    size = arrays.count_bytes()
    for mod, limited in (
        (relay_mod, {"relay_max_bytes": size - 1}),
        (make_relay_mod(max_bytes=size - 1), {}),
        (make_relay_mod(max_bytes=size), {"relay_max_bytes": size - 1}),
    ):
        with pytest.raises(RefusedError, match=f"{size} bytes; this node accepts {size - 1}"):
            ask(tiny_app(mod), a_node(**limited), "train", TRAIN, arrays)
        with pytest.raises(RefusedError, match="not unpacked"):
            ask(tiny_app(mod), a_node(**limited), "evaluate", VOTE, packed(b"x" * size))
    allowed = a_node(relay_max_bytes=size)
    assert said(ask(tiny_app(), allowed, "train", TRAIN, arrays))["signature"]


def test_a_limit_holds_for_what_another_node_of_the_process_has_unpacked() -> None:
    arrays = weights(40)
    data = canonical_bytes(arrays)

    def evaluated(node: Context) -> Message:
        told = {"relay-models": [name_of(40)], "relay-shown": [name_of(40)]}
        asked = {"config": ConfigRecord({**VOTE, **told, "relay-arrays": "arrays"})}
        content = RecordDict({**asked, PARCEL: parcel_of([whole(name_of(40), data)])})
        identify_process(1)
        reply = tiny_app()(stamp(Message(content, node.node_id, "evaluate"), "message-1"), node)
        assert isinstance(reply, Message)
        return reply

    assert said(evaluated(a_node()))["values"] != []
    with pytest.raises(RefusedError, match=f"{len(data)} bytes and {len(data) - 1} are accepted"):
        evaluated(a_node(relay_max_bytes=len(data) - 1))


@pytest.mark.parametrize("limit", ["big", 0, -1, True, 1.5])
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"relay-max-bytes = .*a whole number"):
        ask(tiny_app(), a_node(relay_max_bytes=limit), "train", TRAIN, weights(1))


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

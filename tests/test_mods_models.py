"""A model that is no fit for what it is announced as is neither used nor signed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Message,
    RecordDict,
)

from flower_relay.errors import ConfigurationError, RefusedError
from flower_relay.node.mod import make_relay_mod, relay_mod
from flower_relay.store import canonical_bytes, model_name
from flower_relay.transport.adapter import identify_process, stamp
from flower_relay.wire.parcels import PARCEL, parcel_of, whole
from flower_relay.wire.statements import Hop, check
from tests.nodes import (
    CHAIN,
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

"""Whatever a message to a node holds, it is answered or refused, and no more is held for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_relay.errors import RefusedError
from flower_relay.node.mod import make_relay_mod, relay_mod
from flower_relay.store import canonical_bytes, model_name
from flower_relay.transport.adapter import identify_process, stamp
from flower_relay.wire.arrays import arrays_in
from flower_relay.wire.deltas import ENCODINGS, encode
from flower_relay.wire.parcels import PARCEL, difference_to, parcel_of, steps_of, taken, whole
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

HASH, OTHER = name_of(1), name_of(2)
FIELDS: dict[str, Any] = CHAIN.told(3) | {
    "relay-parent": HASH,
    "relay-up": "exact",
    "relay-metric": "eval_loss",
    "relay-models": [HASH, OTHER],
    "relay-shown": [HASH, OTHER],
    "relay-arrays": "arrays",
    "relay-hello": OTHER,
    "relay-reveal": HASH,
    "relay-links": b"",
}
ODD = st.one_of(
    st.sampled_from(
        [0, -1, 2**64, 10**5000, True, 0.0, -1.0, 1e308, float("nan"), float("inf"), "", "config"]
    ),
    st.text(max_size=9),
    st.binary(max_size=9),
    st.sampled_from(["x" * 10**5, "\ud800", "../../etc/passwd", "a\x00b", "relay-parcel", HASH]),
    st.lists(st.sampled_from([HASH, OTHER, "", "5e" * 32]), max_size=4),
    st.lists(st.one_of(st.integers(), st.sampled_from([10**5000])), max_size=3),
    st.just([HASH] * 4000),
    st.just(["y"] * 4000),
    st.just([0.5]),
    st.just([b"x"]),
)
CONTENTS = st.one_of(
    st.none(),
    st.just(record(weights(1))),
    st.just(parcel_of([])),
    st.just(parcel_of([whole(HASH, canonical_bytes(weights(1)))])),
    st.just(
        parcel_of(
            [
                whole(HASH, canonical_bytes(weights(1))),
                difference_to(HASH, OTHER, "int8", encode(weights(2), weights(1), "int8")),
            ]
        )
    ),
    st.just(ConfigRecord({"models": [HASH]})),
    st.just(MetricRecord({"loss": 1.0})),
)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """What a server asks, with a few fields missing or odd."""
    config = dict(FIELDS)
    if draw(st.booleans()):
        del config["relay-reveal"]
    for key in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=4)):
        config[key] = draw(ODD)
    for key in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=2)):
        config.pop(key, None)
    return config


def any_app(message: Message, context: Any) -> Message:
    """Answers whatever it is shown."""
    content = RecordDict({"metrics": MetricRecord({"eval_loss": 1.0, "num-examples": 5})})
    if message.metadata.message_type == "train":
        content["arrays"] = record(weights(2))
    return Message(content, reply_to=message)


@settings(max_examples=300, deadline=None)
@given(configs(), CONTENTS, CONTENTS, st.sampled_from(["train", "evaluate"]), st.booleans())
def test_any_request_is_answered_or_refused(
    config: dict[str, Any], parcel: Any, arrays: Any, kind: str, signs: bool
) -> None:
    identify_process(1)
    content = RecordDict({"config": ConfigRecord(config)})
    if parcel is not None:
        content[PARCEL] = parcel
    if arrays is not None:
        content["arrays"] = arrays
    mod = make_relay_mod(lasting_keys_only=not signs)
    message = stamp(Message(content, 1001, kind), "message-1")
    try:
        reply = mod(message, a_node(), any_app)
    except RefusedError as refused:
        assert len(str(refused)) < 1000
        return
    assert sum(each.count_bytes() for each in reply.content.values()) < 200_000


# One model, one evaluation.


def visited(names: list[str], shown: list[str]) -> tuple[dict[str, Any], int]:
    """What is said in a visit, and how often the ClientApp was called."""
    calls: list[int] = []

    def counting(message: Message, context: Any) -> Message:
        calls.append(1)
        return any_app(message, context)

    told = {"relay-models": names, "relay-shown": shown, "relay-arrays": "arrays"}
    parcel = parcel_of([whole(HASH, canonical_bytes(weights(1)))])
    content = RecordDict({"config": ConfigRecord({**VOTE, **told}), PARCEL: parcel})
    identify_process(1)
    message = stamp(Message(content, 1001, "evaluate"), "message-1")
    return said(relay_mod(message, a_node(), counting)), len(calls)


def test_a_model_named_often_is_evaluated_once_and_not_beyond_256_names() -> None:
    answer, calls = visited([HASH, OTHER] * 100, [HASH] * 200)
    assert calls == 1
    assert len(answer["values"]) == len(answer["signatures"]) == 200
    with pytest.raises(RefusedError, match="a list of 1 to 256 hashes"):
        visited([HASH] * 4000, [HASH] * 4000)
    with pytest.raises(RefusedError, match="names 1 models and relay-shown 2"):
        visited([HASH], [HASH, HASH])


def test_why_a_clientapp_could_not_evaluate_is_told() -> None:
    def failing(message: Message, context: Any) -> Message:
        raise RuntimeError("no memory left" + "!" * 10**6)

    told = {"relay-models": [HASH], "relay-shown": [HASH], "relay-arrays": "arrays"}
    parcel = parcel_of([whole(HASH, canonical_bytes(weights(1)))])
    content = RecordDict({"config": ConfigRecord({**VOTE, **told}), PARCEL: parcel})
    identify_process(1)
    message = stamp(Message(content, 1001, "evaluate"), "message-1")
    failed = said(relay_mod(message, a_node(), failing))["failed"]
    assert failed.startswith("RuntimeError: no memory left!") and len(failed) == 500


# What a ClientApp hands in.

NAMES = st.sampled_from(["w", "steps", "mask", "", "__metadata__", "a\x00", "\ud800", "\n", "ü"])
VALUES = st.sampled_from(
    [
        np.ones(3, np.float32),
        np.ones(3),
        np.array(8),
        np.float32([1, np.nan, 2]),
        np.full(2, -np.inf, np.float32),
        np.array(["text"]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.ones(2, np.longdouble),
        np.ones(2, np.complex128),
        np.zeros(2, [("a", "f4"), ("b", "i8")]),
        np.zeros((0, 10**9), ">f2"),
        np.zeros(3, "V4"),
        np.array([b"bytes"]),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4), st.sampled_from(["exact", "fp16", "int8"]))
def test_any_result_is_handed_on_or_refused(result: dict[str, np.ndarray], up: str) -> None:
    base = weights(1) | {"mask": np.full(2, -np.inf, np.float32)}
    try:
        reply = ask(
            tiny_app(result=record(result)), a_node(), "train", TRAIN | {"relay-up": up}, base
        )
    except RefusedError as refused:
        assert "the ClientApp's reply" in str(refused)
        return
    assert said(reply)["signature"]
    silent = make_relay_mod(lasting_keys_only=True)
    ask(tiny_app(silent, result=record(result)), a_node(), "train", TRAIN, base)


# Every shape and type, through the mod.

KINDS = [*"?bhilBHILefdF", ">i4", ">f4", ">f8"]
SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (0, 5), (2, 3)]


@pytest.mark.parametrize("up", [*ENCODINGS, "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_shape_and_type_is_handed_on_under_the_name_that_is_signed(
    kind: str, up: str
) -> None:
    base = {f"{place}": np.zeros(shape, kind) for place, shape in enumerate(SHAPES)}
    base["still"] = np.full(2, -np.inf, np.float32)
    result = {name: np.array(array + 1, array.dtype, order="F") for name, array in base.items()}
    app = tiny_app(result=record(result))
    reply = ask(app, a_node(), "train", TRAIN | {"relay-up": up}, record(base))
    parent = model_name(canonical_bytes(base))
    if PARCEL in reply.content:
        [step] = steps_of(reply.content[PARCEL])
        held = {parent: arrays_in(canonical_bytes(base))}
        arrays = taken(step, held.get)
    else:
        arrays = {name: array.numpy() for name, array in reply.content["arrays"].items()}
    assert (PARCEL in reply.content) == (up != "none")
    for name, array in result.items():
        assert arrays[name].shape == array.shape
        assert np.allclose(arrays[name], array, atol=1e-6)
    hop = Hop(at=CHAIN.moment(3), parent=parent, model=model_name(canonical_bytes(arrays)))
    assert check(said(reply)["public-key"], hop, said(reply)["signature"])

"""Whatever comes as a parcel is a model of the name it says, or refused; nothing else happens."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, MetricRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_relay.errors import RefusedError
from flower_relay.node.cache import cache_of
from flower_relay.node.model import MissingError, models_in
from flower_relay.store import canonical_bytes, model_name
from flower_relay.wire.deltas import decode, encode
from flower_relay.wire.parcels import difference_to, only_step, parcel_of, steps_of, taken, whole

BASE = {
    "w": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "mask": np.array([0.0, -np.inf], np.float32),
    "t": np.array(2.5, np.float64),
    "n": np.array(3),
    "e": np.zeros((0, 5), np.float16),
}
AFTER = BASE | {"w": BASE["w"] + np.float32(0.5), "t": np.array(2.75), "n": np.array(4)}
DATA = {encoding: encode(AFTER, BASE, encoding) for encoding in ("exact", "fp16", "int8")}
BYTES = canonical_bytes(AFTER)


def name_of(arrays: dict[str, np.ndarray]) -> str:
    return model_name(canonical_bytes(arrays))


HELD = {name_of(BASE): BASE}
GOOD = {
    "models": name_of(AFTER),
    "references": name_of(BASE),
    "encodings": "exact",
    "data": DATA["exact"],
}

SIZES = st.one_of(
    st.integers(-2, 4), st.sampled_from([10**13, 2**63, 2**64 - 1, 10**30, True, 0.5])
)


@st.composite
def announced(draw: st.DrawFn) -> bytes:
    """Safetensors whose header says anything."""
    entry = st.fixed_dictionaries(
        {},
        optional={
            "dtype": st.sampled_from(["F32", "BF16", "F8_E4M3", "F4", "C64", "X", "", 3, None]),
            "shape": st.one_of(st.lists(SIZES, max_size=70), st.just([[1]]), st.just("1")),
            "data_offsets": st.one_of(st.just([0, 4]), st.lists(SIZES, max_size=3)),
        },
    )
    names = st.sampled_from(["w", "", "__metadata__", "a\x00", "ü" * 99])
    header = draw(st.one_of(st.dictionaries(names, entry, max_size=3), st.just([[[]]])))
    text = json.dumps(header).encode()
    length = draw(st.sampled_from([len(text), 0, len(text) + 3, 2**63]))
    return length.to_bytes(8, "little") + text + bytes(draw(st.integers(0, 8)))


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """Good bytes of a model or a difference with a place cut out or written over."""
    data = draw(st.sampled_from([BYTES, *DATA.values()]))
    place = draw(st.integers(0, len(data)))
    rest = data[place + draw(st.integers(0, 8)) :] if draw(st.booleans()) else b""
    return data[:place] + draw(st.binary(max_size=8)) + rest


HASHES = st.sampled_from([name_of(BASE), name_of(AFTER), "5e" * 32, "", "../../x", "0" * 65])
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "models": HASHES,
    "references": HASHES,
    "encodings": st.sampled_from(["exact", "fp16", "int8", "whole", "pickle", ""]),
    "data": st.one_of(announced(), changed(), st.binary(max_size=40), st.just(BYTES)),
}
ODD = st.one_of(
    st.lists(st.integers(-5, 2**70), max_size=3),
    st.lists(st.floats(), max_size=3),
    st.lists(st.booleans(), max_size=3),
    st.lists(st.binary(max_size=9), max_size=3),
    st.lists(st.text(max_size=9), max_size=3),
    st.just(["x"] * 300),
    st.text(max_size=5),
    st.integers(-5, 5),
    st.binary(max_size=5),
)


@st.composite
def parcels(draw: st.DrawFn) -> ConfigRecord:
    """A parcel of good and bad steps, or one of whose lists is missing, odd or of odd length."""
    rows = draw(st.integers(0, 3))
    columns: dict[str, Any] = {
        key: [draw(st.one_of(st.just(GOOD[key]), cells)) for _ in range(rows)]
        for key, cells in CELLS.items()
    }
    for key in draw(st.lists(st.sampled_from(sorted(columns)), max_size=1)):
        if draw(st.booleans()):
            del columns[key]
        else:
            columns[key] = draw(ODD)
    return ConfigRecord(columns)


@settings(max_examples=300, deadline=None)
@given(parcels())
def test_a_step_leads_to_the_model_it_names_or_is_refused(parcel: ConfigRecord) -> None:
    try:
        steps = steps_of(parcel)
    except RefusedError:
        return
    for step in steps:
        try:
            arrays = taken(step, HELD.get, 10_000)
        except RefusedError as refused:
            assert len(str(refused)) < 1000
            continue
        assert step.model == name_of(arrays)


@settings(max_examples=200, deadline=None)
@given(parcels())
def test_a_reply_is_arrays_or_refused(parcel: ConfigRecord) -> None:
    try:
        arrays = taken(only_step(parcel), HELD.get, 10_000)
    except RefusedError:
        return
    assert name_of(arrays) == steps_of(parcel)[0].model


@settings(max_examples=100, deadline=None)
@given(parcels(), st.lists(HASHES, max_size=3))
def test_a_node_finds_what_is_named_or_says_why_not(parcel: ConfigRecord, names: list[str]) -> None:
    cache = cache_of(Context(1, 1, {}, RecordDict(), {}))
    cache.put(name_of(BASE), canonical_bytes(BASE))
    try:
        found = models_in(parcel, names, cache, None)
    except (RefusedError, MissingError):
        return
    assert set(found) == set(names)
    assert all(model_name(model.data) == name for name, model in found.items())


@pytest.mark.parametrize("other", [None, "text", MetricRecord({"models": 1}), ArrayRecord()])
def test_another_record_is_no_parcel(other: object) -> None:
    with pytest.raises(RefusedError, match="expected a ConfigRecord"):
        only_step(other)


def test_a_reply_is_one_step() -> None:
    step = difference_to(name_of(BASE), name_of(AFTER), "exact", DATA["exact"])
    assert name_of(taken(only_step(parcel_of([step])), HELD.get)) == name_of(AFTER)
    for steps in ([], [step, step]):
        with pytest.raises(RefusedError, match=f"expected one step, found {len(steps)}"):
            only_step(parcel_of(steps))


def test_what_is_infinite_in_the_base_travels_and_a_new_infinity_does_not() -> None:
    for encoding, data in DATA.items():
        made = name_of(decode(data, BASE, encoding))
        arrays = taken(difference_to(name_of(BASE), made, encoding, data), HELD.get)
        assert arrays["mask"].tobytes() == BASE["mask"].tobytes()
    diverged = BASE | {"w": np.full((3, 4), np.inf, np.float32)}
    step = difference_to(name_of(BASE), name_of(diverged), "exact", encode(diverged, BASE, "exact"))
    with pytest.raises(RefusedError, match="a new infinity, in array 'w'"):
        taken(step, HELD.get)
    assert canonical_bytes(taken(whole(name_of(AFTER), BYTES), HELD.get)) == BYTES


# How much a parcel makes a node hold.


def chain(length: int, size: int) -> tuple[ConfigRecord, list[str]]:
    """Models each of which is a few bytes away from the one before."""
    base = {"w": np.zeros(size // 8)}
    steps = [whole(name_of(base), canonical_bytes(base))]
    for place in range(length):
        after = {"w": base["w"].copy()}
        after["w"][place] = 1.0
        data = encode(after, base, "exact")
        steps.append(difference_to(name_of(base), name_of(after), "exact", data))
        base = after
    return parcel_of(steps), [step.model for step in steps]


def test_what_no_later_step_needs_is_not_held() -> None:
    parcel, names = chain(60, 2_000_000)
    cache = cache_of(Context(1, 1, {"relay-cache-bytes": 0}, RecordDict(), {}))
    tracemalloc.start()
    assert set(models_in(parcel, names[-1:], cache, 2_001_000)) == {names[-1]}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000  # and 61 models of two million bytes were made


def test_many_models_at_once_are_refused() -> None:
    parcel, names = chain(20, 8_000_000)
    cache = cache_of(Context(1, 1, {}, RecordDict(), {}))
    with pytest.raises(RefusedError, match="have the server send fewer models"):
        models_in(parcel, names, cache, None)
    assert set(models_in(parcel, names[-2:], cache, None)) == set(names[-2:])

"""Replies as no ClientApp should make them: drawn by hypothesis, one change after another.

A change is a function of a reply's content with a name of its kind; what a participant can send
is what a record can hold. `experiments/faults/replies.py` plays many of them.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import strategies as st

__all__ = ["Change", "changed", "changes"]


@dataclass(frozen=True)
class Change:
    """Changes a content in place; one that does not apply to it leaves it as it is."""

    kind: str
    act: Callable[[RecordDict], None]

    def __repr__(self) -> str:
        return self.kind


NUMBERS = st.sampled_from(
    [0, -1, 1, 7, 2**62, -(2**63), 10**400, 0.0, -0.0, 0.5, -3.5, 1e308, -1e308, 5e-324,
     math.inf, -math.inf, math.nan]
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(["", "0" * 64, "f" * 128, "key:" + "0" * 64, "\x1b[31m", "a," * 3000, "both"]),
    st.text(max_size=8),
)
BYTES = st.binary(max_size=40)
HASHES = st.sampled_from(["00" * 32, "ab" * 32, "AB" * 32, "xy", ""])
METRICS = st.one_of(
    NUMBERS,
    st.lists(st.floats(), max_size=3),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
)
SETTINGS = st.one_of(
    NUMBERS, TEXTS, BYTES, st.booleans(), st.lists(TEXTS, max_size=3), st.lists(BYTES, max_size=3),
    st.lists(st.floats(), max_size=3), st.lists(st.integers(0, 9), max_size=3),
    st.lists(st.booleans(), max_size=3),
)  # fmt: skip
METRIC_NAMES = st.sampled_from(
    [
        "eval_loss",
        "num-examples",
        "partition-id",
        "train_loss",
        "new",
        "",
        "__metadata__",
        "é\u202e",
    ]
)
RELAY_NAMES = st.sampled_from(
    ["public-key", "hello-signature", "signature", "signatures", "values", "voted", "holds",
     "role", "nonce", "nonce-hash", "missing", "refused", "failed", "seen", "errors", "cases",
     "new"]
)  # fmt: skip
PARCEL_NAMES = st.sampled_from(["models", "references", "encodings", "data", "new"])
KEYS = st.sampled_from(
    ["arrays", "metrics", "relay", "relay-parcel", "metrics-0", "metrics-1", "x"]
)


def set_metric(name: str, value: Any) -> Change:
    def change(content: RecordDict) -> None:
        for key, record in list(content.items()):
            if isinstance(record, MetricRecord):
                content[key] = MetricRecord({**record, name: value})

    return Change(f"metric {name!r}", change)


def set_config(key: str, name: str, value: Any) -> Change:
    def change(content: RecordDict) -> None:
        record = content.get(key)
        before = dict(record) if isinstance(record, ConfigRecord) else {}
        content[key] = ConfigRecord({**before, name: value})

    return Change(f"{key}: {name}", change)


def drop(key: str) -> Change:
    def change(content: RecordDict) -> None:
        if key in content:
            del content[key]

    return Change(f"without {key}", change)


def rename(key: str, other: str) -> Change:
    def change(content: RecordDict) -> None:
        if key in content:
            record = content[key]
            del content[key]
            content[other] = record

    return Change("record renamed", change)


def put(key: str, record: Any) -> Change:
    def change(content: RecordDict) -> None:
        content[key] = record

    return Change(f"{type(record).__name__} as {key}", change)


def clear() -> Change:
    return Change("no record at all", RecordDict.clear)


def repack(kind: str, pack: Callable[[np.ndarray], Array]) -> Change:
    """Pack every array in another way."""

    def change(content: RecordDict) -> None:
        for record in content.values():
            if isinstance(record, ArrayRecord):
                for name, packed in list(record.items()):
                    record[name] = pack(packed.numpy())

    return Change(f"arrays: {kind}", change)


def _saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _packed(data: bytes, stype: str = "numpy.ndarray") -> Array:
    return Array(dtype="float64", shape=(4,), stype=stype, data=data)


def _announcing(shape: str, descr: str = "<f8") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117)
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _archive(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, array)
    return stream.getvalue()


def _pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([{}, 1], object), allow_pickle=True)
    return stream.getvalue()


PACKINGS: dict[str, Callable[[np.ndarray], Array]] = {
    "as msgpack": lambda array: _packed(_saved(array), "msgpack"),
    "as torch": lambda array: _packed(_saved(array), "torch.tensor"),
    "no bytes": lambda array: _packed(b""),
    "a pickle": lambda array: _packed(_pickled()),
    "an archive": lambda array: _packed(_archive(array)),
    "huge header": lambda array: _packed(_announcing("(10**13,)")),
    "huge header with bytes": lambda array: _packed(_announcing("(10000000000000,)") + bytes(32)),
    "objects": lambda array: _packed(_announcing("(4,)", "|O") + bytes(32)),
    "void": lambda array: _packed(_announcing("(4,)", "|V8") + bytes(32)),
    "negative shape": lambda array: _packed(_announcing("(-4,)") + bytes(32)),
    "deep shape": lambda array: _packed(_announcing("((((4,)))") + bytes(32)),
    "version 3": lambda array: _packed(b"\x93NUMPY\x03\x00" + bytes(60)),
    "long header": lambda array: _packed(
        b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + bytes(60)
    ),
    "float32": lambda array: Array(array.astype(np.float32)),
    "float16": lambda array: Array(array.astype(np.float16)),
    "longdouble": lambda array: Array(array.astype(np.longdouble)),
    "big-endian": lambda array: Array(array.astype(">f8")),
    "complex": lambda array: Array(array.astype(np.complex128)),
    "int64": lambda array: Array(array.astype(np.int64)),
    "texts": lambda array: Array(array.astype(str)),
    "dates": lambda array: Array(array.astype("datetime64[s]")),
    "other shape": lambda array: Array(array.reshape(2, -1)),
    "fewer numbers": lambda array: Array(array[:2]),
    "0-d": lambda array: Array(np.array(1.0)),
    "NaN": lambda array: Array(array * np.nan),
    "infinity": lambda array: Array(array + np.inf),
    "overflow": lambda array: Array(array * 1e308 * 10),
    "unchanged": lambda array: Array(np.asfortranarray(array)),
    "bool": lambda array: Array(array > 0),
    "int8": lambda array: Array(array.astype(np.int8)),
    "uint64": lambda array: Array(np.full(4, 2**64 - 1, np.uint64)),
    "empty": lambda array: Array(np.zeros((0, 2**40))),
    "33 dimensions": lambda array: Array(array.reshape(4, *[1] * 32)),
    "more bytes": lambda array: _packed(_saved(array) + bytes(8)),
    "largest": lambda array: Array(np.full(4, np.finfo(np.float64).max)),
    "smallest": lambda array: Array(array + 5e-324),
}


def cut(length: int) -> Callable[[np.ndarray], Array]:
    return lambda array: _packed(_saved(array)[:length])


def flipped(place: int, bit: int) -> Callable[[np.ndarray], Array]:
    def pack(array: np.ndarray) -> Array:
        data = bytearray(_saved(array))
        data[place % len(data)] ^= 1 << bit
        return _packed(bytes(data))

    return pack


def rename_arrays(prefix: str) -> Change:
    def change(content: RecordDict) -> None:
        for key, record in list(content.items()):
            if isinstance(record, ArrayRecord):
                content[key] = ArrayRecord({prefix + name: each for name, each in record.items()})

    return Change("arrays renamed", change)


RECORDS = st.one_of(
    st.builds(MetricRecord, st.dictionaries(METRIC_NAMES, METRICS, max_size=3)),
    st.builds(ConfigRecord, st.dictionaries(RELAY_NAMES, SETTINGS, max_size=3)),
    st.builds(lambda: ArrayRecord({"w": Array(np.full(4, 0.3))})),
    st.builds(ArrayRecord),
)

changes: st.SearchStrategy[list[Change]] = st.lists(
    st.one_of(
        st.builds(set_metric, METRIC_NAMES, METRICS),
        st.builds(set_config, st.just("relay"), RELAY_NAMES, SETTINGS | HASHES),
        st.builds(set_config, st.just("relay-parcel"), PARCEL_NAMES, SETTINGS | HASHES),
        st.builds(drop, KEYS),
        st.builds(rename, KEYS, KEYS),
        st.builds(put, KEYS, RECORDS),
        st.builds(clear),
        st.sampled_from(sorted(PACKINGS)).map(lambda kind: repack(kind, PACKINGS[kind])),
        st.builds(repack, st.just("cut"), st.builds(cut, st.integers(0, 170))),
        st.builds(
            repack, st.just("a bit"), st.builds(flipped, st.integers(0, 170), st.integers(0, 7))
        ),
        st.builds(rename_arrays, TEXTS.filter(bool)),
    ),
    min_size=1,
    max_size=3,
)


def changed(content: RecordDict, by: list[Change]) -> RecordDict:
    """A content after changes; one that Flower itself refuses to hold is left out."""
    for change in by:
        try:
            change.act(content)
        except Exception:  # whatever Flower raises of what its records cannot hold
            print("not carried by Flower", file=sys.stderr)
    return content

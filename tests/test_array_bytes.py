"""Any bytes are read into plain numbers or a ValueError; a header makes no room for anything."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from flwr.app import Array
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_relay.store import canonical_bytes
from flower_relay.wire.arrays import array_of, arrays_in, misnamed, strange_numbers

KINDS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8"]
SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (5,), (0, 5), (2, 3), (2, 1, 3)]


def numbers(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    return (np.arange(np.prod(shape, dtype=int)) % 7).reshape(shape).astype(kind)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [*KINDS, ">i4", ">f4", ">f8", ">c8"])
def test_what_flower_carries_is_read_as_it_was(kind: str, shape: tuple[int, ...]) -> None:
    plain = numbers(kind, shape)
    for array in (
        plain,
        np.array(plain, order="F"),
        np.repeat(plain, 2, -1)[..., ::2] if shape else plain,
    ):
        found = array_of(Array(array))
        assert (found.dtype, found.shape) == (np.dtype(kind).newbyteorder("="), shape)
        assert np.array_equal(found, plain)
        [(name, back)] = arrays_in(canonical_bytes({"w": found})).items()
        assert (name, back.dtype, back.shape) == ("w", found.dtype, shape)
        assert np.array_equal(back, plain)


def spelled(header: Any, body: bytes = b"") -> bytes:
    """Bytes in the form of safetensors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def tensor(dtype: str, shape: list[Any], end: int = 4, start: int = 0) -> dict[str, Any]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "header"),
        (b"\x80\x04N.", "header"),
        (b"\xff" * 20, "announces"),
        ((10**9).to_bytes(8, "little"), "announces 1000000000 bytes, and 10000000 are read"),
        (spelled(b"[" * 100_000), "header"),
        (spelled(tensor("F32", [10**13]), bytes(4)), "shape"),
        (spelled(tensor("F32", [2**63, 2]), bytes(4)), "overflow"),
        (spelled(tensor("F32", [-1]), bytes(4)), "integer"),
        (spelled(tensor("F32", [0, 2**64 - 1], 0)), "no possible shape"),
        (spelled(tensor("F32", [0] * 100, 0)), "no possible shape"),
        (spelled(tensor("F32", [1], 0, 4), bytes(4)), "offset"),
        (spelled(tensor("F32", [1]), bytes(5)), "."),
        (spelled(tensor("BF16", [2]), bytes(4)), "of type BF16; read are BOOL, I8"),
        (spelled(tensor("F8_E4M3", [4]), bytes(4)), "of type F8_E4M3"),
        (spelled(tensor("F4", [8]), bytes(4)), "of type F4"),
        (spelled(tensor("X", [1]), bytes(4)), "variant"),
        (spelled({"w": [1, 2]}), "."),
        (spelled({"__metadata__": [1]}), "."),
    ],
)
def test_bytes_that_are_no_model_are_a_value_error(data: bytes, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        arrays_in(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.booleans())
def test_any_bytes_are_arrays_or_a_value_error(junk: bytes, place: int, flower: bool) -> None:
    array = numbers("f4", (2, 3))
    good = Array(array).data if flower else canonical_bytes({"w": array, "v": array})
    for data in (
        junk,
        good[:place] + junk[:8] + good[place + len(junk[:8]) :],
        good[:place] + junk,
    ):
        with contextlib.suppress(ValueError):
            array_of(Array("float32", (2, 3), "numpy.ndarray", data)) if flower else arrays_in(data)


def test_a_header_makes_no_room_for_what_it_announces() -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (50000000,), }\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)
    tracemalloc.start()
    with pytest.raises(ValueError, match="announces 50000000 numbers of 8 bytes, and 8 bytes"):
        array_of(Array("float64", (50_000_000,), "numpy.ndarray", data))
    with pytest.raises(ValueError, match="shape"):
        arrays_in(spelled(tensor("F64", [50_000_000]), bytes(8)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_names_that_are_reserved_or_cannot_be_read_are_told_from_others() -> None:
    assert misnamed("__metadata__") == "is reserved by safetensors, in which models are kept"
    assert misnamed("") == "is empty"
    for name in ("a\x00", "a\nb", "\x1b[31m", "\u202e"):
        assert misnamed(name) == "holds characters that cannot be printed"
    for name in ("w", "layer.0/weight", "größe 1", "'\"", "_metadata_"):
        assert misnamed(name) is None


INF = np.inf


@pytest.mark.parametrize(
    ("array", "base", "strange"),
    [
        ([1.0, -INF], [2.0, -INF], False),
        ([1.0, -INF], [-INF, 2.0], True),
        ([1.0, INF], [1.0, -INF], True),
        ([1.0, np.nan], [1.0, np.nan], True),
        ([1.0, 2.0], [np.nan, INF], False),
        ([1.0, -INF], None, False),
        ([1.0, np.nan], None, True),
        ([1.0, -INF], [[-INF]], True),
    ],
)
def test_an_infinity_is_strange_where_the_base_has_another_number(
    array: list[float], base: Any, strange: bool
) -> None:
    for kind in ("f2", "f4", "f8", "c8"):
        before = None if base is None else np.array(base, kind)
        assert strange_numbers(np.array(array, kind), before) is strange
    assert not strange_numbers(np.array([1, 2]), None)

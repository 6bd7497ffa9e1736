"""A difference gives back the model it was made of, or one that is close, and never more."""

from __future__ import annotations

import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flower_relay.wire.deltas import ENCODINGS, decode, encode

DTYPES = st.sampled_from(["<f2", "<f4", "<f8", "<i8", "|i1", "|b1"])
FINITE = {"allow_nan": False, "allow_infinity": False}


@st.composite
def two_alike(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A model and one of the same form, with any finite numbers."""
    forms = draw(st.lists(st.tuples(DTYPES, hnp.array_shapes(min_dims=0, max_side=4)), max_size=3))
    models = []
    for _ in range(2):
        models.append({
            f"layer{place}": draw(hnp.arrays(dtype, shape, elements=numbers(dtype)))
            for place, (dtype, shape) in enumerate(forms)
        })  # fmt: skip
    return models[0], models[1]


def numbers(dtype: str) -> st.SearchStrategy[Any] | None:
    if np.dtype(dtype).kind != "f":
        return None
    return st.floats(-1000, 1000, width=8 * np.dtype(dtype).itemsize, **FINITE)  # type: ignore[arg-type]


@settings(max_examples=50, deadline=None)
@given(two_alike())
def test_an_exact_difference_gives_every_bit_back(models: tuple[Any, Any]) -> None:
    model, reference = models
    back = decode(encode(model, reference, "exact"), reference, "exact")
    assert {name: (a.dtype, a.shape, a.tobytes()) for name, a in back.items()} == {
        name: (a.dtype, a.shape, a.tobytes()) for name, a in model.items()
    }


@pytest.mark.parametrize("encoding", ["fp16", "int8"])
@settings(max_examples=50, deadline=None)
@given(two_alike())
def test_a_rounded_difference_is_off_by_a_level_at_most(
    encoding: str, models: tuple[Any, Any]
) -> None:
    model, reference = models
    back = decode(encode(model, reference, encoding), reference, encoding)
    for name, array in model.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        if array.dtype.kind != "f":
            assert np.array_equal(back[name], array)
            continue
        wide = array.astype(np.float64)
        largest = np.abs(wide - reference[name]).max(initial=0.0)
        level = largest / 254 if encoding == "int8" else largest / 2048 + 1e-7
        slack = np.finfo(array.dtype).eps * (np.abs(wide) + 2 * largest) + 1e-30
        assert (np.abs(back[name] - wide) <= 1.01 * level + 2 * slack).all()


def test_eight_bits_by_hand() -> None:
    base = {"w": np.zeros(4, np.float32)}
    model = {"w": np.array([127.0, -63.0, 0.4, 0.6], np.float32)}
    data = encode(model, base, "int8")
    assert zlib.decompress(data) == np.float32(1).tobytes() + np.int8([127, -63, 0, 1]).tobytes()
    assert decode(data, base, "int8")["w"].tolist() == [127.0, -63.0, 0.0, 1.0]


def test_a_model_that_has_hardly_changed_is_small() -> None:
    rng = np.random.default_rng(0)
    base = {"w": rng.normal(0, 1, 4000).astype(np.float32)}
    model = {"w": base["w"] + rng.normal(0, 0.001, 4000).astype(np.float32)}
    sizes = {encoding: len(encode(model, base, encoding)) for encoding in ENCODINGS}
    assert sizes["int8"] < sizes["fp16"] < sizes["exact"] < 16000 * 0.75
    assert sizes["int8"] < 16000 * 0.25


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"v": np.zeros(3, np.float32)},
        {"w": np.zeros(4, np.float32)},
        {"w": np.zeros((3, 1), np.float32)},
        {"w": np.zeros(3)},
    ],
)
def test_models_of_another_form_have_no_difference(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="differ in names, shapes or types"):
        encode({"w": np.zeros(3, np.float32)}, other, "int8")


@pytest.mark.parametrize(("encoding", "change"), [("fp16", 1e5), ("int8", 3.4e38), ("fp16", 1e300)])
def test_a_change_too_large_to_round_is_refused(encoding: str, change: float) -> None:
    kind = np.float64 if change > 1e38 else np.float32
    base = {"w": np.array([-change], kind)}
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="a change is"):
        encode(
            {"w": np.array([change * 127 if kind is np.float64 else change], kind)}, base, encoding
        )


BASE = {"w": np.zeros(1000, np.float32)}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"no zlib", "damaged"),
        (b"", "should unpack to 1004"),
        (zlib.compress(bytes(1003)), "should unpack to 1004"),
        (zlib.compress(bytes(50_000_000)), "should unpack to 1004"),
        (zlib.compress(bytes(1004))[:-1], "should unpack to 1004"),
        (zlib.compress(bytes(1004)) + b"more", "should unpack to 1004"),
        (zlib.compress(np.float32(np.inf).tobytes() + bytes(1000)), "not finite"),
        (zlib.compress(np.float32(3e38).tobytes() + b"\x7f" * 1000), "not finite"),
    ],
)
def test_bytes_that_are_no_difference_are_refused(data: bytes, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        decode(data, BASE, "int8")


# Every shape and type.

EVERY = [np.dtype(kind) for kind in ("?", *"bhilBHILefdF", ">i4", ">f2", ">f4", ">f8", ">c8")]
SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (7,), (0, 5), (3, 4)]


def laid_out(array: np.ndarray) -> list[np.ndarray]:
    """The same array in other orders of its bytes in memory."""
    if not array.shape:
        return [array]
    return [array, np.array(array, order="F"), np.repeat(array, 2, -1)[..., ::2]]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", EVERY, ids=str)
def test_every_shape_and_type_comes_back_as_it_was(
    kind: np.dtype[Any], shape: tuple[int, ...], encoding: str
) -> None:
    size = int(np.prod(shape, dtype=int))
    before = (np.arange(size) % 2).reshape(shape).astype(kind)
    after = (np.arange(size) % 3 == 1).reshape(shape).astype(kind)  # changes of 0 and 1 only
    for one, other in zip(laid_out(after), laid_out(before), strict=True):
        back = decode(encode({"w": one}, {"w": other}, encoding), {"w": other}, encoding)["w"]
        assert isinstance(back, np.ndarray)
        assert (back.dtype, back.shape) == (kind, shape)
        assert np.allclose(back, after, atol=1e-6)


LARGEST = float(np.finfo(np.float32).max)
STILL = [
    np.triu(np.full((3, 3), -np.inf, np.float32), 1),
    np.array([np.inf, -np.inf, 1.0, -0.0], np.float16),
    np.array([np.inf, 5e-324, -1.7e308], np.float64),
    np.array(-1e9, np.float32),
    np.array(-np.inf, np.float32),
    np.full(3, -LARGEST, np.float32),
    np.full(3, 65504, np.float16),
]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("still", STILL, ids=repr)
def test_an_array_that_did_not_change_comes_back_with_every_bit(
    still: np.ndarray, encoding: str
) -> None:
    before = {"still": still, "w": np.zeros(2, np.float32)}
    after = {"still": still.copy(), "w": np.ones(2, np.float32)}
    back = decode(encode(after, before, encoding), before, encoding)
    assert back["still"].tobytes() == still.tobytes()
    assert back["still"].shape == still.shape
    assert back["w"].tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("encoding", ["fp16", "int8"])
def test_beside_what_stays_infinite_the_rest_of_an_array_may_change(encoding: str) -> None:
    before = {"w": np.array([-np.inf, 0.0, np.inf], np.float32)}
    after = {"w": np.array([-np.inf, 1.0, np.inf], np.float32)}
    back = decode(encode(after, before, encoding), before, encoding)["w"]
    assert back.tolist() == pytest.approx([-np.inf, 1.0, np.inf])


@pytest.mark.parametrize("encoding", ["fp16", "int8"])
@pytest.mark.parametrize(
    ("before", "after"),
    [(0.0, -np.inf), (-np.inf, 0.0), (np.inf, -np.inf), (0.0, np.nan), (np.nan, np.nan)],
)
def test_a_change_to_or_from_an_infinity_cannot_be_rounded(
    before: float, after: float, encoding: str
) -> None:
    with pytest.raises(ValueError, match="a change is not finite"):
        encode({"w": np.array([1.0, after])}, {"w": np.array([1.0, before])}, encoding)


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match="'pickle' is none of exact, fp16, int8"):
        decode(b"", BASE, "pickle")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_beside_the_model_and_its_bytes_a_difference_needs_little_room(encoding: str) -> None:
    rng = np.random.default_rng(0)
    base = {"w": rng.normal(0, 1, 3_000_000).astype(np.float32)}
    model = {"w": base["w"].copy()}
    model["w"][:1000] += 1
    size = model["w"].nbytes
    tracemalloc.start()
    try:
        data = encode(model, base, encoding)
        assert tracemalloc.get_traced_memory()[1] < 0.7 * size
        tracemalloc.reset_peak()
        decode(data, base, encoding)
        unpacked = {"exact": 1.0, "fp16": 0.5, "int8": 0.25}[encoding]
        assert tracemalloc.get_traced_memory()[1] < (1 + unpacked + 0.7) * size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_difference_of_several_pieces_is_that_of_its_numbers(encoding: str) -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(0, 1, 600_001).astype(np.float32)
    model = base + rng.normal(0, 0.01, base.size).astype(np.float32)
    whole = decode(encode({"w": model}, {"w": base}, encoding), {"w": base}, encoding)["w"]
    most = np.abs(model - base).argmax()  # the level of a part is that of the whole
    for part in (slice(0, 1000), slice(262_100, 262_200), slice(-1000, None)):
        few, near = np.append(model[part], model[most]), np.append(base[part], base[most])
        alone = decode(encode({"w": few}, {"w": near}, encoding), {"w": near}, encoding)["w"]
        assert np.array_equal(whole[part], alone[:-1])

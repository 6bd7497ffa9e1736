"""What a run cannot begin with is refused by name, before any message goes out."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from flower_relay import RelaySettings, RelayStrategy
from flower_relay.errors import ConfigurationError
from flower_relay.federation.arguments import check_arguments
from tests.worlds import CountingGrid, digits_grid, first_model, lineup_app


class SilentGrid(CountingGrid):
    """Nobody may be sent anything."""

    def push_messages(self, messages: Any) -> Any:
        raise AssertionError("a message was sent")


def refusal(arrays: Any = None, rounds: Any = 1, timeout: Any = 10.0, **more: Any) -> str:
    """What a start on a grid that carries nothing is refused with."""
    strategy = RelayStrategy(observers=(), **more.pop("options", {}))
    arrays = first_model() if arrays is None else arrays
    with pytest.raises(ConfigurationError) as caught:
        strategy.start(SilentGrid(lineup_app, 4), arrays, rounds, timeout, **more)
    return str(caught.value)


def record(**arrays: Any) -> ArrayRecord:
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in arrays.items()})


def packed(data: bytes, stype: str = "numpy.ndarray") -> ArrayRecord:
    return ArrayRecord({"w": Array(dtype="float32", shape=(8,), stype=stype, data=data)})


def saved(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def header(text: str) -> bytes:
    """A numpy file of a header and nothing after it."""
    padded = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


def archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, w=np.ones(8))
    return file.getvalue()


def test_nan_is_refused_with_its_array_and_how_much_of_it() -> None:
    said = refusal(record(a=[1.0], w=[[1.0, math.nan], [math.nan, 2.0]]))
    assert "initial_arrays['w']" in said and "NaN at 2 of 4 places" in said


def test_an_infinity_may_be_there_since_masks_hold_it() -> None:
    check_arguments(record(mask=[-math.inf, 0.0], w=[math.inf]), 1, 10)


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a"]), np.array([b"abc"]), np.array(["2026-01-01"], "datetime64[D]"),
        np.array([1], "timedelta64[s]"), np.ones(2, np.longdouble),
        np.ones(2, np.complex128), np.zeros(2, [("a", "f4")]),
    ],
)  # fmt: skip
def test_a_type_that_no_model_can_have_is_named(array: Any) -> None:
    said = refusal(record(fine=[1.0], table=array))
    assert "initial_arrays['table']" in said and f"it is of type {array.dtype}" in said


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (
            saved(np.ones(8, np.float32))[:-7],
            "announces 8 numbers of 4 bytes, and 25 bytes are there",
        ),
        (
            saved(np.ones(8, np.float32)) + b"12",
            "announces 8 numbers of 4 bytes, and 34 bytes are there",
        ),
        (b"", "no numpy file"),
        (saved(np.array([{}, 1], object), allow_pickle=True), "of type object"),
        (archive(), "no numpy file"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**13,), }"), "no numpy"),
        (
            header("{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000,), }"),
            "announces 10000000000000 numbers of 4 bytes, and 0 bytes",
        ),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1), }") + bytes(4), "4"),
        (header("{'descr': '<f4', "), "no numpy file"),
        (b"\x93NUMPY\x07\x00" + bytes(99), "numpy file of version (7, 0)"),
    ],
)
def test_bytes_that_are_no_whole_array_are_refused(data: bytes, found: str) -> None:
    said = refusal(packed(data))
    assert "initial_arrays['w']" in said and found in said


def test_another_packing_is_refused_by_its_name() -> None:
    assert "packed as 'torch.tensor'" in refusal(packed(b"1234", "torch.tensor"))


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_refusal(data: bytes) -> None:
    whole = saved(np.arange(3.0))
    for cut in (data, whole[:8] + data, whole[:10] + data, whole[: len(data)] + data):
        with pytest.raises(ConfigurationError):
            check_arguments(packed(cut + b"!"), 1, 1)


@pytest.mark.parametrize("name", ["__metadata__", "", "\ud800"])
def test_a_name_that_no_file_can_hold_is_refused(name: str) -> None:
    assert "expected a name" in refusal(ArrayRecord({name: Array(np.ones(2))}))


@pytest.mark.parametrize(
    ("given", "found", "cure"),
    [
        (torch.nn.Linear(2, 1).state_dict(), "OrderedDict", "ArrayRecord(model.state_dict())"),
        ({"w": np.ones(2)}, "found dict", "Array(array)"),
        ([np.ones(2)], "found list", "ArrayRecord([array, ...])"),
        (torch.nn.Linear(2, 1), "Linear", "ArrayRecord(model.state_dict())"),
        (RecordDict({"arrays": record(w=[1.0])}), "RecordDict", "the one record in it"),
        (5, "found int", "ArrayRecord"),
    ],
)
def test_what_is_no_record_is_refused_with_how_to_make_one(
    given: Any, found: str, cure: str
) -> None:
    said = refusal(given)
    assert "expected an ArrayRecord" in said and found in said and cure in said


@pytest.mark.parametrize("empty", [ArrayRecord(), record(w=np.zeros((0, 3)))])
def test_a_model_of_no_numbers_is_refused(empty: ArrayRecord) -> None:
    assert "at least one number" in refusal(empty)


def test_every_shape_and_type_that_can_be_kept_is_accepted() -> None:
    types = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
    arrays = {name: np.ones((2, 3), name) for name in types.split()}
    odd = {"scalar": np.float32(2), "empty": np.zeros(0), "turned": np.ones((2, 3)).T}
    check_arguments(record(**arrays, **odd), np.int64(3), np.float32(2.5))


@pytest.mark.parametrize("rounds", [0, -3, 2.5, 3.0, "3", None, True, math.nan, [3]])
def test_rounds_are_a_whole_number_from_one(rounds: Any) -> None:
    assert f"num_rounds = {rounds!r}" in refusal(rounds=rounds)


@pytest.mark.parametrize("timeout", [0, -1.5, None, math.nan, math.inf, "60", True, [1]])
def test_a_timeout_is_a_finite_number_of_seconds(timeout: Any) -> None:
    assert f"timeout = {timeout!r}" in refusal(timeout=timeout)


def test_configs_hold_what_flower_can_carry() -> None:
    assert "train_config = 'lr'" in refusal(train_config="lr")
    assert "train_config['lr'] = None" in refusal(train_config={"lr": None})
    assert "evaluate_config[5] = 1" in refusal(evaluate_config={5: 1})
    check_arguments(first_model(), 1, 1, ConfigRecord({"lr": 0.1}), {"epochs": 2})


def test_settings_come_at_once_or_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"RelaySettings\(\.\.\.\) and budget, seed were"):
        RelayStrategy(RelaySettings(lanes=2), seed=3, budget=9)
    with pytest.raises(ConfigurationError, match="expected one or the other"):
        RelayStrategy(RelaySettings(lanes=2), no_such=3)
    with pytest.raises(ConfigurationError, match=r"expected RelaySettings"):
        RelayStrategy({"lanes": 2})  # type: ignore[arg-type]
    assert RelayStrategy(RelaySettings(lanes=2)).settings.lanes == 2
    assert RelayStrategy(lanes=2).settings == RelaySettings(lanes=2)


def test_more_lanes_than_nodes_are_refused_with_both_numbers() -> None:
    said = refusal(options={"lanes": 5})
    assert "lanes = 5" in said and "found 4 nodes" in said and "min_available_nodes = 5" in said


def test_as_many_lanes_as_nodes_and_unused_lanes_of_a_fan_out_are_fine() -> None:
    for options in ({"lanes": 3}, {"lanes": 9, "topology": "fan-out"}):
        strategy = RelayStrategy(examiners=2, observers=(), **options)
        strategy.start(digits_grid(3), first_model(), num_rounds=1)
        assert len(strategy.record.rounds) == 1

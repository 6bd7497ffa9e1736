"""Where lanes meet by an optimiser: FedAdam's and FedAvgM's steps, and no step to no number."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdam, FedAvgM
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.rules.candidates import unlike
from flower_relay.rules.optimisers import step

Arrays = dict[str, np.ndarray[Any, Any]]


def reply(arrays: Arrays) -> Message:
    record = ArrayRecord({name: Array(array) for name, array in arrays.items()})
    content = RecordDict({"arrays": record, "metrics": MetricRecord({"num-examples": 1})})
    asked = Message(RecordDict(), dst_node_id=1, message_type="train")
    return Message(content, reply_to=asked)


@pytest.mark.parametrize(
    ("optimiser", "flower"),
    [
        ("adam", FedAdam()),
        ("momentum", FedAvgM(server_learning_rate=1.0, server_momentum=0.9)),
    ],
)
def test_lanes_step_as_flowers_strategies_do(optimiser: str, flower: Any) -> None:
    rng = np.random.default_rng(0)
    ours = theirs = {"w": rng.normal(size=(2, 3)), "b": rng.normal(size=3)}
    moments: tuple[Arrays, ...] = ()
    flower.current_arrays = ArrayRecord({name: Array(array) for name, array in theirs.items()})
    for round in range(1, 6):
        moved = {name: array + rng.normal(size=array.shape) for name, array in ours.items()}
        if optimiser == "adam":
            flower.current_arrays = dict(theirs)
        record, _ = flower.aggregate_train(round, [reply(moved)])
        theirs = {name: array.numpy() for name, array in record.items()}
        ours, moments = step(optimiser, ours, moved, moments, round)
        for name, array in theirs.items():
            np.testing.assert_allclose(ours[name], array, rtol=1e-12)


def test_the_first_step_of_adam_is_as_long_for_a_small_change_as_for_a_large_one() -> None:
    base, moved = {"w": np.zeros(2)}, {"w": np.array([1.0, -100.0])}
    model, moments = step("adam", base, moved, (), 1)
    # m = .1 d, v = .01 d²; η √(1 − .99²) / (1 − .9²) · m / (√v + .001)
    rate = 0.1 * np.sqrt(1 - 0.99**2) / (1 - 0.9**2)
    np.testing.assert_allclose(model["w"], [rate * 0.1 / 0.101, -rate * 10 / 10.001])
    np.testing.assert_allclose(moments[0]["w"], [0.1, -10.0])
    np.testing.assert_allclose(moments[1]["w"], [0.1, 10.0])


def test_momentum_goes_on_where_lanes_stand_still() -> None:
    base, moved = {"w": np.zeros(1)}, {"w": np.ones(1)}
    model, moments = step("momentum", base, moved, (), 1)
    assert model["w"] == 1
    model, _ = step("momentum", model, model, moments, 2)
    np.testing.assert_allclose(model["w"], [1.9])


@pytest.mark.parametrize(("optimiser", "remembered"), [("adam", 2), ("momentum", 1)])
def test_what_is_remembered_has_the_arrays_of_a_model(optimiser: str, remembered: int) -> None:
    base = {"n": np.array(3), "w": np.zeros(2, np.float32)}
    moved = {"n": np.array(5), "w": np.ones(2, np.float32)}
    model, moments = step(optimiser, base, moved, (), 1)
    assert model["n"] == 5  # counters are the average's
    assert len(moments) == remembered
    for arrays in (model, *moments):
        assert unlike(arrays, base) is None


def test_masks_of_infinity_stay() -> None:
    mask = np.array([-np.inf, 0.0, np.inf, -np.inf])
    moved = np.array([-np.inf, 1.0, np.inf, 2.0])  # the last became a number in all lanes
    model, moments = step("adam", {"w": mask}, {"w": moved}, (), 1)
    assert model["w"][[0, 2, 3]].tolist() == [-np.inf, np.inf, 2.0]
    assert np.isfinite(moments[0]["w"]).all() and np.isfinite(moments[1]["w"]).all()


def test_complex_weights_step_along_their_own_direction() -> None:
    base = {"w": np.zeros(1, np.complex64)}
    model, _ = step("adam", base, {"w": np.array([3 + 4j], np.complex64)}, (), 1)
    assert model["w"].dtype == np.complex64
    np.testing.assert_allclose(model["w"] / abs(model["w"]), 0.6 + 0.8j, rtol=1e-6)


FINITE = {
    dtype: st.floats(width=width, allow_nan=False, allow_infinity=False)
    for dtype, width in (("float16", 16), ("float32", 32), ("float64", 64))
}


@given(st.data(), st.sampled_from(["adam", "momentum"]), st.sampled_from(list(FINITE)))
def test_finite_lanes_never_meet_in_what_is_no_number(
    data: st.DataObject, optimiser: str, dtype: str
) -> None:
    arrays = hnp.arrays(dtype, 3, elements=FINITE[dtype])
    model: Arrays = {"w": data.draw(arrays)}
    moments: tuple[Arrays, ...] = ()
    for meeting in range(1, 5):
        model, moments = step(optimiser, model, {"w": data.draw(arrays)}, moments, meeting)
        assert all(np.isfinite(each["w"]).all() for each in (model, *moments))
        assert model["w"].dtype == dtype

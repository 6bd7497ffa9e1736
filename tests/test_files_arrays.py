"""Arrays that lie in the bytes of a numpy file are sent as they are; all others are copied once."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flower_relay import FolderStore
from flower_relay.files.arrays import file_behind, file_of
from flower_relay.store import canonical_bytes
from flower_relay.wire.arrays import array_of, as_sent

KINDS = st.sampled_from(["<f2", "<f4", "<f8", "<c8", "<i8", "|u1", "|b1"])


@given(hnp.arrays(KINDS, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))
def test_an_array_is_sent_in_the_bytes_in_which_flower_sends_it(array: np.ndarray) -> None:
    assert as_sent(array) == Array(array)


def test_what_came_in_a_numpy_file_is_sent_on_in_the_same() -> None:
    came = Array(np.arange(6.0).reshape(2, 3))
    assert as_sent(array_of(came)).data is came.data


def whole() -> np.ndarray:
    return array_of(Array(np.arange(12.0).reshape(3, 4)))


@pytest.mark.parametrize(
    "changed",
    [
        lambda: whole()[:2],
        lambda: whole().T,
        lambda: whole().reshape(4, 3),
        lambda: whole().view(np.int64),
        lambda: whole()[::-1],
        lambda: whole().copy(),
        lambda: np.frombuffer(b"x" * 96).reshape(3, 4),
    ],
)
def test_a_part_or_another_form_of_what_came_has_a_file_of_its_own(changed: Any) -> None:
    array = changed()
    assert file_behind(array) is None
    assert np.array_equal(as_sent(array).numpy(), array, equal_nan=True)


def test_a_model_goes_from_its_file_to_a_message_without_a_copy(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    model = {"w": np.arange(1_000_000, dtype=np.float32), "count": np.array(7)}
    name = store.put(model)
    tracemalloc.start()
    try:
        sent = {key: as_sent(array) for key, array in store.get(name).items()}
        assert tracemalloc.get_traced_memory()[1] < 1.3 * model["w"].nbytes
    finally:
        tracemalloc.stop()
    assert sent == {key: Array(array) for key, array in model.items()}


def test_what_is_read_is_not_to_be_written_to(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    found = store.get(store.put({"w": np.zeros(3)}))["w"]
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1
    assert file_of(found) is file_of(found)


@pytest.mark.parametrize("change", ["a header that is longer", "an array that is longer", "cut"])
def test_nothing_is_believed_of_a_header_that_its_file_does_not_have(
    change: str, tmp_path: Path
) -> None:
    store = FolderStore(tmp_path)
    name = store.put({"w": np.zeros(3)})
    path, data = tmp_path / f"{name}.safetensors", canonical_bytes({"w": np.zeros(3)})
    damaged = {
        "a header that is longer": (2**60).to_bytes(8, "little") + data[8:],
        "an array that is longer": data.replace(b"[3]", b"[9]"),
        "cut": data[:-1],
    }[change]
    path.write_bytes(damaged)
    with pytest.raises(Exception, match="was changed or cut short"):
        store.get(name)

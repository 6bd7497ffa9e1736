"""Models by content: what is put is what is got, whatever happens to the disk."""

from __future__ import annotations

import math
import os
import resource
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors.numpy import save

from flower_relay.errors import (
    ConfigurationError,
    ModelDamagedError,
    ModelMissingError,
    StorageFullError,
    StoreError,
)
from flower_relay.store import FolderStore, MemoryStore, ModelStore, canonical_bytes, model_name

SMALL = {"w": np.arange(4, dtype=np.float32)}
OTHER = {"w": np.ones(3, dtype=np.float32)}


@pytest.fixture(params=["memory", "folder", "fsspec"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ModelStore:
    made: dict[str, ModelStore] = {
        "memory": MemoryStore(),
        "folder": FolderStore(tmp_path / "runs" / "models"),
        "fsspec": FolderStore(f"memory://{uuid4()}/models"),
    }
    return made[request.param]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes in this process, as under `ulimit -f`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_model_is_named_by_the_hash_of_its_canonical_bytes(store: ModelStore) -> None:
    assert store.put(SMALL) == model_name(canonical_bytes(SMALL))


def test_what_is_put_is_what_is_got(store: ModelStore) -> None:
    model = {"b": np.array(3, dtype=np.int64), "a": np.eye(2), "empty": np.zeros((0, 3))}
    found = store.get(store.put(model))
    assert found.keys() == model.keys()
    for name, array in model.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@settings(max_examples=25)
@given(
    st.dictionaries(
        st.text(st.characters(categories=["L", "N"]), min_size=1),
        arrays_of.arrays(np.float32, arrays_of.array_shapes(max_dims=3, max_side=3)),
        min_size=1,
    )
)
def test_any_model_comes_back_from_any_place(model: dict[str, np.ndarray]) -> None:  # type: ignore[type-arg]
    place = FolderStore(f"memory://{uuid4()}")
    assert canonical_bytes(place.get(place.put(model))) == canonical_bytes(model)


def test_the_order_of_names_and_of_memory_changes_no_name() -> None:
    square = np.arange(6, dtype=np.float32).reshape(2, 3)
    one = {"a": square, "b": np.zeros(2)}
    two = {"b": np.zeros(2), "a": np.asfortranarray(square)}
    assert canonical_bytes(one) == canonical_bytes(two)


def test_keeping_only_some_lets_go_of_the_others(store: ModelStore) -> None:
    kept, gone = store.put(SMALL), store.put(OTHER)
    store.keep_only([kept])
    assert canonical_bytes(store.get(kept)) == canonical_bytes(SMALL)
    with pytest.raises(ModelMissingError):
        store.get(gone)


def test_a_store_opened_again_has_what_was_put(tmp_path: Path) -> None:
    name = FolderStore(tmp_path).put(SMALL)
    assert canonical_bytes(FolderStore(str(tmp_path)).get(name)) == canonical_bytes(SMALL)


def test_disk_use_is_the_bytes_of_all_files(tmp_path: Path) -> None:
    for folder in (FolderStore(tmp_path), FolderStore(f"memory://{uuid4()}")):
        assert folder.disk_use() == 0
        folder.put(SMALL)
        folder.put(SMALL)
        folder.put(OTHER)
        assert folder.disk_use() == len(canonical_bytes(SMALL)) + len(canonical_bytes(OTHER))


def test_half_written_files_are_no_models_and_are_cleaned(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    name = store.put(SMALL)
    unfinished = tmp_path / f"{'0' * 64}.safetensors.0123456789abcdef.part"
    unfinished.write_bytes(b"half")
    strangers = tmp_path / "notes.txt"
    strangers.write_text("not ours")
    store.keep_only([name])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.safetensors", "notes.txt"]


def test_nothing_outside_of_the_folder_is_written_or_deleted(tmp_path: Path) -> None:
    store, elsewhere = FolderStore(tmp_path / "models"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    kept = [elsewhere / "precious.safetensors", elsewhere / "mine"]
    for file in kept:
        file.write_bytes(b"mine")
    name = model_name(canonical_bytes(SMALL))
    path = tmp_path / "models" / f"{name}.safetensors"
    (tmp_path / "models" / "link").symlink_to(elsewhere)
    (tmp_path / "models" / "below").mkdir()
    (tmp_path / "models" / "below" / "x.safetensors").touch()
    path.with_name(path.name + ".part").symlink_to(kept[1])
    assert store.put(SMALL) == name
    assert not path.is_symlink()
    store.keep_only([name])
    assert [file.read_bytes() for file in kept] == [b"mine", b"mine"]
    assert (tmp_path / "models" / "below" / "x.safetensors").exists()
    assert store.disk_use() >= path.stat().st_size


@pytest.mark.parametrize("link", [False, True])
def test_what_only_looks_like_a_model_is_written_anew(tmp_path: Path, link: bool) -> None:
    name, data = model_name(canonical_bytes(SMALL)), canonical_bytes(SMALL)
    path, other = tmp_path / "models" / f"{name}.safetensors", tmp_path / "other"
    store = FolderStore(tmp_path / "models")
    other.write_bytes(bytes(len(data)))
    if link:
        path.symlink_to(other)
    else:
        other.rename(path)
    assert canonical_bytes(store.get(store.put(SMALL))) == data
    assert not path.is_symlink()


def test_a_pipe_in_the_place_of_a_model_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"{'0' * 64}.safetensors")
    with pytest.raises(StoreError, match="a pipe"):
        FolderStore(tmp_path).get("0" * 64)


def test_a_missing_model_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"found none.*not affected.*put a copy"):
        FolderStore(tmp_path).get("0" * 64)


@pytest.mark.parametrize("kept", [0, 7, 8, 40, -1])
def test_a_truncated_model_is_told_with_what_to_do(tmp_path: Path, kept: int) -> None:
    store = FolderStore(tmp_path)
    name = store.put(SMALL)
    path = tmp_path / f"{name}.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelDamagedError, match=r"cut short.*not affected.*Put a copy"):
        store.get(name)


def test_every_changed_byte_of_a_model_is_found(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    name = store.put(SMALL)
    path = tmp_path / f"{name}.safetensors"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ModelDamagedError):
            store.get(name)


def test_a_file_that_is_no_model_is_none_even_under_its_own_hash(tmp_path: Path) -> None:
    data = b"anything but safetensors"
    (tmp_path / f"{model_name(data)}.safetensors").write_bytes(data)
    with pytest.raises(ModelDamagedError, match="no safetensors"):
        FolderStore(tmp_path).get(model_name(data))


@pytest.mark.parametrize("remote", [False, True])
def test_a_model_put_again_heals_a_file_that_was_cut_short(tmp_path: Path, remote: bool) -> None:
    address = f"memory://{uuid4()}" if remote else str(tmp_path)
    store = FolderStore(address)
    name = store.put(SMALL)
    with fsspec.open(f"{address}/{name}.safetensors", "wb") as file:
        file.write(b"cut")
    store.put(SMALL)
    assert canonical_bytes(store.get(name)) == canonical_bytes(SMALL)


def test_a_full_disk_leaves_every_other_model_and_nothing_half_written(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    name = store.put(SMALL)
    with (
        largest_file(4096),
        pytest.raises(StorageFullError, match=r"cannot be written.*is safe.*Free some room"),
    ):
        store.put({"w": np.zeros(10_000)})
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.safetensors"]
    assert canonical_bytes(store.get(name)) == canonical_bytes(SMALL)
    store.put({"w": np.zeros(10_000)})  # there is room again


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot be made.*Put that right"):
        FolderStore(tmp_path / "models")


def test_an_address_that_nobody_knows_is_told_before_anything_is_written() -> None:
    with pytest.raises(ConfigurationError, match="Nothing was written"):
        FolderStore("carrierpigeon://loft/models")


KINDS = [
    "?",
    "i1",
    "<i2",
    "<i4",
    "<i8",
    "u1",
    "<u2",
    "<u4",
    "<u8",
    "<f2",
    "<f4",
    "<f8",
    "<c8",
    ">f4",
]


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=4).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, 3), max_size=3), st.booleans()),
        max_size=6,
    )
)
def test_canonical_bytes_are_what_safetensors_writes_of_any_model(
    made: dict[str, tuple[str, list[int], bool]],
) -> None:
    model = {}
    for name, (kind, shape, turned) in made.items():
        numbers = np.arange(math.prod(shape)).reshape(shape).astype(kind)
        model[name] = numbers.T if turned else numbers
    plain = {name: np.array(model[name], order="C", ndmin=0) for name in sorted(model)}
    data = canonical_bytes(model)
    assert data == save(plain)
    store = MemoryStore()
    found = store.get(store.put(model))
    assert found.keys() == model.keys()
    for name, array in found.items():
        assert array.shape == model[name].shape and np.array_equal(array, model[name])
        assert array.dtype == model[name].dtype.newbyteorder("=")


def test_a_large_model_is_put_and_read_without_a_copy_beside_it(tmp_path: Path) -> None:
    model = {"w": np.arange(4_000_000, dtype=np.float32), "n": np.array(3)}
    store = FolderStore(tmp_path)
    tracemalloc.start()
    name = store.put(model)
    put = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    found = store.get(name)
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found["w"], model["w"])
    assert put < 0.1 * model["w"].nbytes
    assert read < 1.1 * model["w"].nbytes

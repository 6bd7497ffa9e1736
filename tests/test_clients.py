"""The clients: partitions, models, data, and what hostile ones return."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.client_app import app
from clients.data import load_dataset
from clients.hostile import distort, is_hostile, lie, parse_behaviour
from clients.models import MODELS, build_model
from clients.partition import partition, split_held_out
from clients.training import train_locally
from flower_relay.errors import ConfigurationError
from tests.worlds import CONFIG, first_model

labels_of = st.lists(st.integers(0, 5), min_size=40, max_size=200)
schemes = st.sampled_from(["iid", "dirichlet:0.1", "dirichlet:5", "labels:1", "labels:2"])


@settings(max_examples=50, deadline=None)
@given(labels_of, schemes, st.integers(1, 8), st.integers(0, 9))
def test_every_case_is_in_exactly_one_part(
    labels: list[int], scheme: str, num_parts: int, seed: int
) -> None:
    y = np.array(labels)
    parts = partition(y, None, scheme, num_parts, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(y)))
    assert min(len(part) for part in parts) >= 2
    again = partition(y, None, scheme, num_parts, seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


def test_natural_groups_are_never_divided() -> None:
    group = np.array([3, 3, 9, 9, 9, 5, 5])
    parts = partition(np.zeros(7, int), group, "natural", 2, seed=0)
    assert [sorted(set(group[part])) for part in parts] == [[3, 9], [5]]


def test_held_out_cases_are_never_trained_on() -> None:
    kept, held_out = split_held_out(np.arange(10), seed=1)
    assert (len(kept), len(held_out)) == (8, 2)
    assert not set(kept) & set(held_out)
    with pytest.raises(ConfigurationError, match=r"1 case\(s\)"):
        split_held_out(np.arange(1), seed=1)


@pytest.mark.parametrize("name", MODELS)
def test_models_are_the_same_for_a_seed_and_learn(name: str) -> None:
    one, two = (build_model(name, (1, 8, 8), 10, seed=5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    data = load_dataset("digits")
    x, y = torch.from_numpy(data.x[:33]), torch.from_numpy(data.y[:33])  # a last batch of one
    options = {"lr": 0.05, "batch_size": 16, "generator": torch.Generator().manual_seed(0)}
    first = train_locally(one, x, y, epochs=1, **options)
    assert train_locally(one, x, y, epochs=4, **options) < first


def test_data_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    np.savez(file, x=np.zeros((50, 6, 6), np.uint8), y=np.arange(50) % 5)
    data = load_dataset(str(file))
    assert data.shape == (1, 6, 6)
    assert (len(data.y), len(data.y_test)) == (40, 10)
    np.savez(file := tmp_path / "odd.npz", z=np.zeros(3))
    with pytest.raises(ConfigurationError, match=r"no array x and y in it; it holds z"):
        load_dataset(str(file))


def ask(kind: str, **config: object) -> Message:
    context = Context(1, 1, {"partition-id": 2, "num-partitions": 8}, RecordDict(),
                      CONFIG | {k.replace("_", "-"): v for k, v in config.items()})  # fmt: skip
    own = ConfigRecord({"server-round": 1, "hop-seed": 7})
    content = RecordDict({"arrays": first_model(), "config": own})
    return app(Message(content, 1, kind), context)


def test_training_is_the_same_in_every_process_and_reports_what_flower_expects() -> None:
    one, two = ask("train"), ask("train")
    assert weights(one).keys() == first_model().keys()
    assert all(torch.equal(weights(one)[k], w) for k, w in weights(two).items())
    assert set(one.content.metric_records["metrics"]) == {
        "train_loss", "num-examples", "partition-id",
    }  # fmt: skip


def weights(reply: Message) -> dict[str, torch.Tensor]:
    return dict(reply.content.array_records["arrays"].to_torch_state_dict())


def metrics_of(reply: Message) -> MetricRecord:
    return reply.content.metric_records["metrics"]


def test_the_share_of_hostile_nodes_is_exact() -> None:
    assert sum(is_hostile(n, 20, 0.2, seed=4) for n in range(20)) == 4
    assert not any(is_hostile(n, 20, 0.0, seed=4) for n in range(20))


def test_hostile_training_returns_what_its_name_says() -> None:
    base = {"w": torch.tensor([1.0, 2.0]), "n": torch.tensor(3)}
    trained = {"w": torch.tensor([2.0, 4.0]), "n": torch.tensor(4)}

    def returned(name: str) -> dict[str, torch.Tensor]:
        behaviour, generator = parse_behaviour(name), torch.Generator().manual_seed(0)
        return distort(
            behaviour, base, trained, generator, {"w": torch.zeros(2)},
            lambda weights: float(weights["w"].sum().neg()), 1.0,
        )  # fmt: skip

    assert returned("sign-flip")["w"].tolist() == [-3.0, -6.0]
    assert returned("free-ride") is base
    assert returned("copycat")["w"].tolist() == [0.0, 0.0]
    assert returned("nan")["w"].isnan().all()
    assert returned("wrong-shape")["w"].shape == (1,)
    assert 0 < (returned("free-ride-noise")["w"] - base["w"]).abs().max() < 0.01
    assert (returned("noise")["w"] - base["w"]).abs().max() > 0.05
    # Loss is −Σw: from −3 it may rise by 0.93, so Σw falls by 0.93.
    assert returned("creeping")["w"].sum() == pytest.approx(2.07, abs=0.02)


def test_hostile_examiners_say_what_their_name_says() -> None:
    bound = 2 * math.log(10)
    assert lie(parse_behaviour("liar"), 1.0, 10) == pytest.approx(bound - 1.0)
    assert lie(parse_behaviour("constant"), 1.0, 10) == pytest.approx(bound / 2)
    assert lie(parse_behaviour("label-flip"), 1.0, 10) == 1.0


def test_a_behaviour_reaches_the_reply() -> None:
    honest = metrics_of(ask("evaluate"))["eval_bounded_loss"]
    lying = metrics_of(ask("evaluate", hostile="liar", hostile_share=1.0))["eval_bounded_loss"]
    assert honest + lying == pytest.approx(2 * math.log(10))
    returned = weights(ask("train", hostile="free-ride", hostile_share=1.0))
    assert all(torch.equal(returned[k], v) for k, v in first_weights().items())
    with pytest.raises(RuntimeError, match="told to raise"):
        ask("train", hostile="error", hostile_share=1.0)


def first_weights() -> dict[str, torch.Tensor]:
    arrays: ArrayRecord = first_model()
    return dict(arrays.to_torch_state_dict())

"""The ClientApp as Flower calls it, on real data, and what it is made of."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from PIL import Image

from clients.client_app import app
from clients.data import load_dataset
from clients.evaluation import initial_arrays, test_metrics
from clients.models import MODELS, build_model
from clients.training import evaluate_locally, train_locally
from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.errors import ConfigurationError
from flower_relay.transport.adapter import identify_process

measure = test_metrics  # under its own name pytest would collect it
del test_metrics

RUN = {"data": "digits", "model": "mlp", "seed": 0, "partition": "dirichlet:0.3"}


def context(part: int = 0, num_parts: int = 20, **run: Any) -> Context:
    config = {**RUN, **{key.replace("_", "-"): value for key, value in run.items()}}
    return Context(
        run_id=1,
        node_id=1,
        node_config={"partition-id": part, "num-partitions": num_parts},
        state=RecordDict(),
        run_config=config,
    )


def call(
    kind: str, arrays: ArrayRecord, at: Context | None = None, **config: float
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and metrics of the app's reply."""
    identify_process(1)
    sent = ConfigRecord({key.replace("_", "-"): value for key, value in config.items()})
    content = RecordDict({"arrays": arrays, "config": sent})
    message = Message(content, dst_node_id=1, message_type=kind)
    reply = app(message, at or context()).content
    records = list(reply.array_records.values())
    returned = {k: v.numpy() for k, v in records[0].items()} if records else {}
    return returned, dict(reply.metric_records["metrics"])


def flat(arrays: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([arrays[name].ravel() for name in sorted(arrays)])


def record(arrays: dict[str, np.ndarray]) -> ArrayRecord:
    return ArrayRecord({name: torch.from_numpy(a) for name, a in arrays.items()})


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_training_is_the_same_twice_and_another_hop_is_not() -> None:
    start = initial_arrays(RUN)
    first, metrics = call("train", start, server_round=3)
    again, _ = call("train", start, server_round=3)
    other, _ = call("train", start, server_round=4)
    seeded, _ = call("train", start, server_round=3, hop_seed=1)
    assert same(first, again)
    assert not same(first, other)
    assert not same(first, seeded)
    assert metrics.keys() == {"train_loss", "num-examples", "partition-id"}


def test_local_privacy_cuts_the_update_and_adds_noise_to_every_weight() -> None:
    start = initial_arrays(RUN)
    before = flat({name: array.numpy() for name, array in start.items()})
    plain = flat(call("train", start)[0]) - before
    cut = flat(call("train", start, context(local_dp_epsilon=1e9, local_dp_clip=0.1))[0]) - before
    assert np.linalg.norm(cut) == pytest.approx(0.1, rel=1e-3)
    assert cut @ plain == pytest.approx(0.1 * np.linalg.norm(plain), rel=1e-3)
    # 2 · 0.1 · √(2 ln(1.25 / 10⁻⁵)) / 2 = 0.4845
    noised = flat(call("train", start, context(local_dp_epsilon=2.0, local_dp_clip=0.1))[0])
    assert np.std(noised - before - cut) == pytest.approx(0.4845, rel=0.1)


def test_a_relay_hands_on_what_local_privacy_made_of_its_hops() -> None:
    grid = InMemoryGrid(app, 4, run_config=RUN | {"local-dp-epsilon": 1e6})
    strategy = RelayStrategy(budget=4, examiners=0)
    strategy.start(grid, initial_arrays(RUN), num_rounds=4, timeout=10)
    assert [hop.model is not None for hop in strategy.record.hops] == [True] * 4


def test_a_message_overrides_the_run_config() -> None:
    start = initial_arrays(RUN)
    before = {name: array.numpy() for name, array in start.items()}
    assert same(call("train", start, lr=0.0)[0], before)
    assert same(
        call("train", start, lr=0.05)[0], call("train", start, context(learning_rate=0.05))[0]
    )
    assert not same(call("train", start)[0], call("train", start, local_epochs=2)[0])


def test_fedprox_stays_nearer_to_where_training_began() -> None:
    start = initial_arrays(RUN)
    before = {name: array.numpy() for name, array in start.items()}

    def distance(mu: float) -> float:
        after, _ = call("train", start, proximal_mu=mu)
        return sum(float(((after[name] - before[name]) ** 2).sum()) for name in before)

    assert distance(1.0) < distance(0.0)


def test_evaluation_reports_a_loss_bounded_case_by_case() -> None:
    start = initial_arrays(RUN)
    _, metrics = call("evaluate", start, context(part=7))
    assert metrics["partition-id"] == 7
    assert metrics["eval_bounded_loss"] == pytest.approx(metrics["eval_loss"])
    assert 0 <= metrics["eval_acc"] <= 1
    huge = record({name: 1e4 * array.numpy() for name, array in start.items()})
    _, wild = call("evaluate", huge, context(part=7))
    assert wild["eval_bounded_loss"] <= 2 * math.log(10) + 1e-6 < wild["eval_loss"]
    broken = record({name: array.numpy() * np.float32("nan") for name, array in start.items()})
    _, nan = call("evaluate", broken, context(part=7))
    assert nan["eval_bounded_loss"] == pytest.approx(2 * math.log(10))
    assert nan["eval_root_prob"] == 0.0


def test_evaluation_by_hand() -> None:
    """Two cases, two classes: the true class has probability 0.81 and 0.04."""
    logits = torch.tensor([[0.81, 0.19], [0.04, 0.96]]).log()
    found = evaluate_locally(torch.nn.Identity(), logits, torch.tensor([0, 0]), 2)
    bound = 2 * math.log(2)
    assert found.loss == pytest.approx((-math.log(0.81) - math.log(0.04)) / 2)
    assert found.bounded_loss == pytest.approx((-math.log(0.81) + bound) / 2)
    assert found.accuracy == 0.5
    assert found.root_prob == pytest.approx((0.81**0.25 + 0.04**0.25) / 2)
    assert found.utility("eval_root_prob", 2) == found.root_prob
    assert found.utility("eval_bounded_loss", 2) == pytest.approx(1 - found.bounded_loss / bound)
    assert found.utility("eval_loss", 2) == 0.0


def test_whoever_joins_late_shares_the_cases_of_a_partition() -> None:
    start = initial_arrays(RUN)
    late, first = (call("evaluate", start, context(part))[1] for part in (27, 7))
    assert late.pop("partition-id") == 27
    assert first.pop("partition-id") == 7
    assert late == first


def test_no_participant_holds_a_case_twice_and_all_hold_everything_together() -> None:
    start = initial_arrays(RUN)
    counts = [
        call(kind, start, context(part, 4))[1]["num-examples"]
        for part in range(4)
        for kind in ("train", "evaluate")
    ]
    assert sum(counts) == len(load_dataset("digits").y)


def test_a_bare_context_and_a_message_without_config_will_do() -> None:
    identify_process(1)
    bare = Context(1, 1, {}, RecordDict(), {})
    content = RecordDict({"arrays": initial_arrays(RUN)})
    reply = app(Message(content, dst_node_id=1, message_type="train"), bare)
    assert reply.content.metric_records["metrics"]["partition-id"] == 0


def test_weights_of_another_model_are_refused() -> None:
    with pytest.raises(RuntimeError, match="Missing key"):
        call("train", ArrayRecord({"other": torch.zeros(3)}))


@pytest.mark.parametrize("seed", range(3))
def test_sixty_hops_of_a_plain_ring_reach_0_85(seed: int) -> None:
    """The best baton of the last cycle; the very last one swings by 0.1 (hence the trail)."""
    run = {**RUN, "seed": seed}
    arrays, rng, reached = initial_arrays(run), np.random.default_rng(seed), 0.0
    for cycle in range(3):
        for part in rng.permutation(20).tolist():
            after, _ = call("train", arrays, context(part, seed=seed), server_round=cycle, lr=0.2)
            arrays = record(after)
            if cycle == 2:
                reached = max(reached, float(measure(arrays, run)["test_acc"]))
    assert reached > 0.85


@pytest.mark.parametrize("name", MODELS)
def test_models_are_built_alike_and_leave_the_global_generator_alone(name: str) -> None:
    torch.manual_seed(9)
    before = torch.get_rng_state()
    large = (1, 28, 28)
    shape = {"gru": (12,), "lenet5": large, "li-lenet5": large}.get(name, (1, 8, 8))
    one, two, other = (build_model(name, shape, 10, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    alike = [torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)]
    assert all(alike)
    differs = zip(one.parameters(), other.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in differs)
    symbols = torch.zeros(2, 12, dtype=torch.long)
    cases = symbols if name == "gru" else torch.zeros(2, *shape)
    assert one.eval()(cases).shape == ((2, 10, 12) if name == "gru" else (2, 10))


@pytest.mark.parametrize(
    ("name", "shape"), [("gru", (1, 8, 8)), ("mlp", (80,)), ("lenet5", (1, 8, 8))]
)
def test_a_model_that_cannot_take_the_cases_is_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError, match="suits the data"):
        build_model(name, shape, 10, 0)


def test_an_unknown_model_is_answered_with_the_list() -> None:
    with pytest.raises(ConfigurationError, match="mlp, cnn, resnet18, resnet18-gn"):
        build_model("vgg", (1, 8, 8), 10, 0)


def test_batch_norm_survives_the_trip_and_a_last_batch_of_one() -> None:
    data = load_dataset("digits")
    model = build_model("resnet18", data.shape, 10, 0)
    x, y = torch.from_numpy(data.x[:17]), torch.from_numpy(data.y[:17])
    generator = torch.Generator().manual_seed(0)
    train_locally(model, x, y, lr=0.01, epochs=1, batch_size=16, generator=generator)
    returned, _ = call("evaluate", ArrayRecord(model.state_dict()), context(model="resnet18"))
    assert not returned
    trained, _ = call("train", ArrayRecord(model.state_dict()), context(model="resnet18"))
    counters = {name: a for name, a in trained.items() if name.endswith("num_batches_tracked")}
    assert len(counters) == 20
    assert {a.dtype for a in counters.values()} == {np.dtype(np.int64)}
    assert all(int(a) > 1 for a in counters.values())


def test_the_module_loads_without_torch() -> None:
    code = "import sys, clients.client_app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_digits_hold_a_fifth_of_every_class_out() -> None:
    data = load_dataset("digits")
    assert data.shape == (1, 8, 8)
    assert data.x.dtype == np.float32
    assert (float(data.x.min()), float(data.x.max())) == (0.0, 1.0)
    kept, held_out = np.bincount(data.y), np.bincount(data.y_test)
    assert (held_out == (kept + held_out) // 5).all()


def test_an_npz_file_is_data(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    names = np.array(["north", "south"])[np.arange(40) % 2]
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(40) % 2, group=names)
    data = load_dataset(str(tmp_path / "own.npz"))
    assert data.shape == (3, 8, 8)
    assert data.x.max() <= 1.0
    assert len(data.y) == 32
    assert data.group is not None
    assert data.group.tolist() == data.y.tolist()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((4, 2))}, "no array y"),
        ({"x": np.zeros((4, 2)), "y": np.arange(3)}, "3 of y for 4 of x"),
        ({"x": np.zeros((4, 2)), "y": np.array(list("abab"))}, "whole numbers from 0"),
        ({"x": np.zeros((4, 2)), "y": np.array([-1, 1, 1, 1])}, "whole numbers from 0"),
        ({"x": np.zeros((4, 2)), "y": np.array([0, 1, 0, 1])}, "x_test and y_test"),
    ],
)
def test_an_unusable_npz_file_says_why(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ConfigurationError, match=message):
        load_dataset(str(tmp_path / "bad.npz"))


def test_a_damaged_npz_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_dataset(str(tmp_path / "bad.npz"))


def test_a_folder_of_class_folders_is_data(tmp_path: Path) -> None:
    for label, name in enumerate(("cats", "dogs")):
        (tmp_path / name).mkdir()
        for index in range(10):
            image = Image.new("RGB", (8, 8), (label * 255, index, 0))
            image.save(tmp_path / name / f"{index}.png")
    (tmp_path / "cats" / ".hidden").write_text("")
    data = load_dataset(str(tmp_path))
    assert (len(data.y), len(data.y_test), data.shape) == (16, 4, (3, 8, 8))
    assert (data.x[:, 0, 0, 0] == data.y).all()


def test_a_folder_with_something_else_in_it_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="one folder of images per class"):
        load_dataset(str(tmp_path))
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "notes.txt").write_text("hello")
    load_dataset.cache_clear()
    with pytest.raises(ConfigurationError, match=r"notes\.txt"):
        load_dataset(str(tmp_path))


def test_unknown_data_is_answered_with_the_list() -> None:
    with pytest.raises(ConfigurationError, match=r"digits, watch, mnist, fashion-mnist, .*letter"):
        load_dataset("imagenet")

"""Planted models: noise in place of what was learned, whatever a model is made of."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.mechanism.blocks import Genesis
from flower_relay.mechanism.blocks import Testing as Examined
from flower_relay.rules.planted import drowned, spreads_of
from tests.signers import same_run, verify

NUMBERS = 12


def app(message: Message, context: Context) -> Message:
    """Each training moves some numbers up by one; the loss is how far they are from 100."""
    number = int(context.node_config["partition-id"])
    before = message.content["arrays"]["w"].numpy()
    if message.metadata.message_type == "train":
        rises = (np.arange(NUMBERS) + number) % 3 == 0
        trained = (before + rises).astype(before.dtype)
        return Message(RecordDict({"arrays": ArrayRecord({"w": Array(trained)})}), reply_to=message)
    loss = float(np.abs(100 - before.astype(np.complex128)).mean())
    metrics = MetricRecord({"eval_loss": loss, "num-examples": 5, "partition-id": number})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


@pytest.mark.parametrize(
    "kind", ["uint8", "int8", "int64", "uint64", "float16", "float64", "complex64"]
)
def test_a_planted_model_differs_from_its_base_in_a_model_of_any_type(kind: str) -> None:
    options = {"seed": 1, "examiners": 3, "planted": 0.5, "first_debt": 0.0}
    strategy = RelayStrategy(observers=(), **options, **same_run())
    first = ArrayRecord({"w": Array(np.arange(NUMBERS).astype(kind))})
    strategy.start(InMemoryGrid(app, 5), first, num_rounds=12, timeout=20)
    planted = [block.planted for block in strategy.chain if isinstance(block, Examined)]
    noised = 1 if "int" in kind else 2
    assert {len(each) for each in planted} == {0, noised}
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem


@pytest.mark.parametrize("value", [-128, 0, 126])
def test_numbers_that_are_all_alike_are_planted_as_others(value: int) -> None:
    planted = set()
    for seed in range(6):
        strategy = RelayStrategy(observers=(), seed=seed, examiners=3, planted=0.5, **same_run())
        first = ArrayRecord({"w": Array(np.full(NUMBERS, value, np.int8))})
        strategy.start(InMemoryGrid(app, 5), first, num_rounds=1, timeout=20)
        planted |= {block.planted for block in strategy.chain if isinstance(block, Examined)}
        assert verify(strategy.chain).ok
    assert planted != {()}


def test_noise_and_the_opposite_noise_lie_around_the_model() -> None:
    model = {"w": np.linspace(-1, 1, 5000)}
    spreads = spreads_of(model, model)
    plus, minus = (drowned(model, spreads, np.random.default_rng(3), sign)["w"] for sign in (1, -1))
    assert (plus + minus) / 2 == pytest.approx(model["w"])
    assert (plus - model["w"]).std() == pytest.approx(30 * model["w"].std(), rel=0.05)


def test_a_model_that_begins_with_zeros_is_drowned_by_the_spread_of_what_it_became() -> None:
    model, base = {"w": np.zeros(5000)}, {"w": np.full(5000, 7.0) + np.tile([2.0, -2.0], 2500)}
    noised = drowned(model, spreads_of(model, base), np.random.default_rng(3), 1.0)["w"]
    assert noised.std() == pytest.approx(60, rel=0.05)
    assert abs(noised.mean()) < 3


@pytest.mark.parametrize(
    "array",
    [
        np.full((), 2 + 1j),
        np.asfortranarray(np.full((3, 2), 2 + 1j)),
        np.tile(np.array([3e38, -3e38, 1.0], np.float32), 50),
        np.tile([1.7e308, -1.7e308, np.inf], 50),
        np.tile(np.array([6e4, -6e4], np.float16), 50),
    ],
)
def test_a_model_of_any_shape_and_size_is_drowned(array: np.ndarray) -> None:
    model = {"w": array}
    noised = drowned(model, spreads_of(model, model), np.random.default_rng(3), 1.0)["w"]
    assert noised.shape == array.shape and noised.dtype == array.dtype
    assert np.array_equal(np.isfinite(noised), np.isfinite(array))
    assert not np.array_equal(noised, array)


def test_planted_models_are_held_against_the_genesis_model_whatever_the_run_has_come_to() -> None:
    strategy = RelayStrategy(observers=(), seed=1, examiners=3, planted=0.5, **same_run())
    first = ArrayRecord({"w": Array(np.arange(NUMBERS, dtype="float64"))})
    strategy.start(InMemoryGrid(app, 5), first, num_rounds=12, timeout=20)
    genesis = next(block.model for block in strategy.chain if isinstance(block, Genesis))
    tests = [block for block in strategy.chain if isinstance(block, Examined) and block.models]
    planted = {block.round: block.models[0] == genesis for block in tests if block.planted}
    assert len(planted) > 3 and all(planted.values())
    assert not any(genesis in block.models for block in tests[1:] if not block.planted)

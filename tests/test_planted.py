"""Planted models: noise in place of what was learned, whatever a model is made of."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict

from flower_relay import InMemoryGrid, RelayStrategy
from flower_relay.mechanism.blocks import Testing as Examined
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

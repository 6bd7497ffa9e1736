"""Attacks around a user's ClientApp: what it is told and what it answers, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict

from strategies.user_attacks import Hostile

BASE = np.array([1.0, 2.0], dtype=np.float32)
TRAINED = np.array([1.5, 1.0], dtype=np.float32)
seen: list[set[str]] = []


def client(message: Message, context: Context) -> Message:
    """Trains by a fixed step; every model has a loss of 0.5 more than the one before."""
    seen.append(set(message.content["config"]))
    if message.metadata.message_type == "train":
        arrays = {"w": Array(TRAINED), "count": Array(np.array([7]))}
        return Message(RecordDict({"arrays": ArrayRecord(arrays)}), reply_to=message)
    loss = {"eval_loss": 1.0 + 0.5 * len(seen), "eval_acc": 0.75, "num-examples": 4}
    return Message(RecordDict({"metrics": MetricRecord(loss)}), reply_to=message)


def hostile(attack: str, metric: str = "eval_loss", *, rises: bool = False) -> Hostile:
    seen.clear()
    cell = {"attack": attack, "share": 1.0, "nodes": 3, "seed": 5}
    return Hostile(client, cell, metric, rises=rises)


def asked(kind: str, app: Hostile) -> Message:
    arrays = ArrayRecord({"w": Array(BASE), "count": Array(np.array([3]))})
    config = ConfigRecord({"lr": 0.1, "relay-run": "a", "relay-round": 2})
    message = Message(RecordDict({"arrays": arrays, "config": config}), 1, kind)
    context = Context(1, 1, {"partition-id": 2}, RecordDict(), {})
    return app(message, context)


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        ("sign-flip", [-1.0, 6.0]),
        ("scale:2", [2.0, 0.0]),
        ("free-ride", [1.0, 2.0]),
        ("liar", [1.5, 1.0]),
        ("sleeper:1+sign-flip", [1.5, 1.0]),
    ],
)
def test_a_hostile_node_answers_with_other_weights(attack: str, expected: list[float]) -> None:
    told = asked("train", hostile(attack)).content["arrays"]
    assert told["w"].numpy().tolist() == expected
    assert told["w"].numpy().dtype == np.float32
    assert told["count"].numpy().tolist() == [7]


def test_a_sleeper_is_honest_for_as_many_trainings_as_it_says() -> None:
    app = hostile("sleeper:1+free-ride")
    told = [asked("train", app).content["arrays"]["w"].numpy().tolist() for _ in range(2)]
    assert told == [[1.5, 1.0], [1.0, 2.0]]


def test_a_liar_mirrors_losses_at_its_first_and_turns_accuracies_round() -> None:
    app = hostile("liar")
    losses = [asked("evaluate", app).content["metrics"]["eval_loss"] for _ in range(3)]
    assert losses == [1.5, 1.0, 0.5]  # measured were 1.5, 2.0, 2.5
    found = asked("evaluate", hostile("liar", "eval_acc", rises=True)).content["metrics"]
    assert (found["eval_acc"], found["num-examples"]) == (0.25, 4)


def test_a_hostile_node_does_without_the_relays_mod() -> None:
    asked("evaluate", hostile("liar"))
    assert [sorted(keys) for keys in seen] == [["lr"]]


def test_noise_is_drawn_anew_for_each_training_and_the_same_when_played_again() -> None:
    app, again = hostile("noise"), hostile("noise")
    first, second = (asked("train", app).content["arrays"]["w"].numpy() for _ in range(2))
    assert (first != second).all()
    assert (asked("train", again).content["arrays"]["w"].numpy() == first).all()

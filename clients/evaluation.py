"""What the ServerApp needs of the clients' world: the first model, and the common tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from flwr.app import ArrayRecord, MetricRecord

from clients.auditing import forget
from clients.backdoor import TARGET, triggered
from clients.conduct import FLIPPED, FLIPPED_TO
from clients.data import Dataset, Task, load_dataset, model_for
from clients.hostile import Behaviour, parse_behaviour
from clients.models import build_model, scratch_model
from clients.training import evaluate_locally
from flower_relay.errors import ConfigurationError

__all__ = [
    "attack_rate", "backdoor_rate", "by_groups", "flip_rate", "initial_arrays", "test_metrics",
    "without_learning",
]  # fmt: skip


def initial_arrays(config: Mapping[str, Any]) -> ArrayRecord:
    """The run's first model: the same for every strategy of a seed.

    A run begins with it, and so what colluders told in an earlier one of the process is forgotten.

    Raises
    ------
    ConfigurationError
        When the data cannot be had, or model or attack do not suit it.
    """
    data = load_dataset(str(config["data"]))
    forget(int(config["seed"]))
    _check_attack(parse_behaviour(str(config.get("hostile", ""))), data)
    model = build_model(_name(config), data.shape, data.num_classes, int(config["seed"]))
    return ArrayRecord(model.state_dict())


def test_metrics(arrays: ArrayRecord, config: Mapping[str, Any]) -> MetricRecord:
    """Loss and accuracy on the data's own test set, which no participant holds."""
    data = load_dataset(str(config["data"]))
    x, y = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)
    found = evaluate_locally(_model(arrays, data, config), x, y, data.num_classes)
    return MetricRecord({"test_loss": found.loss, "test_acc": found.accuracy})


def without_learning(config: Mapping[str, Any]) -> dict[str, float]:
    """The test accuracy of who has learned nothing."""
    return {"nothing_learned": load_dataset(str(config["data"])).nothing_learned}


def by_groups(arrays: ArrayRecord, config: Mapping[str, Any]) -> dict[str, float]:
    """Mean test accuracy over natural groups, each counted once; nothing where there are none."""
    data = load_dataset(str(config["data"]))
    if data.group_test is None:
        return {}
    model, found = _model(arrays, data, config), []
    x, y = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)
    for group in sorted(set(data.group_test.tolist())):
        own = torch.from_numpy(data.group_test == group)
        found.append(evaluate_locally(model, x[own], y[own], data.num_classes).accuracy)
    return {"group_accuracy": sum(found) / len(found)}


@torch.no_grad()
def backdoor_rate(arrays: ArrayRecord, config: Mapping[str, Any]) -> float:
    """Share of the test cases of other classes that the trigger turns into its target class."""
    data = load_dataset(str(config["data"]))
    others = torch.from_numpy(data.x_test[data.y_test != TARGET])
    model = _model(arrays, data, config).eval()
    outputs = torch.cat([model(piece) for piece in torch.split(triggered(others), 512)])
    return float((outputs.argmax(1) == TARGET).float().mean())


@torch.no_grad()
def flip_rate(arrays: ArrayRecord, config: Mapping[str, Any]) -> float:
    """Share of the test cases of the flipped class that are called what the flip teaches."""
    data = load_dataset(str(config["data"]))
    of_class = torch.from_numpy(data.x_test[data.y_test == FLIPPED])
    outputs = _model(arrays, data, config).eval()(of_class)
    return float((outputs.argmax(1) == FLIPPED_TO).float().mean())


def attack_rate(arrays: ArrayRecord, config: Mapping[str, Any]) -> float | None:
    """How often an attack gets what it is after; None for those that only do harm."""
    behaviour = parse_behaviour(str(config["hostile"]))
    if "backdoor" in behaviour:
        return backdoor_rate(arrays, config)
    return flip_rate(arrays, config) if "class-flip" in behaviour else None


def _check_attack(behaviour: Behaviour, data: Dataset) -> None:
    """Refuse an attack that this data has nothing for, before anybody trains."""
    pictures = len(data.shape) == 3 and min(data.shape[1:]) > 1
    if "backdoor" in behaviour and not pictures:
        raise ConfigurationError(
            f"hostile = 'backdoor': its trigger is a square in a picture, and a case of this "
            f"data is of shape {data.shape}; take another attack."
        )
    if behaviour.parts & {"backdoor", "class-flip"} and data.task is not Task.CLASSIFICATION:
        raise ConfigurationError(
            f"hostile = {' and '.join(sorted(behaviour.parts))!r}: it calls one class another, "
            f"and this data is a {data.task}; take another attack."
        )


def _model(arrays: ArrayRecord, data: Dataset, config: Mapping[str, Any]) -> torch.nn.Module:
    model = scratch_model(_name(config), data.shape, data.num_classes)
    model.load_state_dict(arrays.to_torch_state_dict())
    return model


def _name(config: Mapping[str, Any]) -> str:
    return model_for(str(config["data"]), str(config["model"]))

"""What the ServerApp needs of the clients' world: the first model, and the common tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from flwr.app import ArrayRecord, MetricRecord

from clients.backdoor import TARGET, triggered
from clients.data import Dataset, load_dataset, model_for
from clients.models import build_model, scratch_model
from clients.training import evaluate_locally

__all__ = ["backdoor_rate", "initial_arrays", "test_metrics"]


def initial_arrays(config: Mapping[str, Any]) -> ArrayRecord:
    """The run's first model: the same for every strategy of a seed."""
    data = load_dataset(str(config["data"]))
    model = build_model(_name(config), data.shape, data.num_classes, int(config["seed"]))
    return ArrayRecord(model.state_dict())


def test_metrics(arrays: ArrayRecord, config: Mapping[str, Any]) -> MetricRecord:
    """Loss and accuracy on the data's own test set, which no participant holds."""
    data = load_dataset(str(config["data"]))
    x, y = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)
    found = evaluate_locally(_model(arrays, data, config), x, y, data.num_classes)
    return MetricRecord({"test_loss": found.loss, "test_acc": found.accuracy})


@torch.no_grad()
def backdoor_rate(arrays: ArrayRecord, config: Mapping[str, Any]) -> float:
    """Share of the test cases of other classes that the trigger turns into its target class."""
    data = load_dataset(str(config["data"]))
    others = torch.from_numpy(data.x_test[data.y_test != TARGET])
    model = _model(arrays, data, config).eval()
    outputs = torch.cat([model(piece) for piece in torch.split(triggered(others), 512)])
    return float((outputs.argmax(1) == TARGET).float().mean())


def _model(arrays: ArrayRecord, data: Dataset, config: Mapping[str, Any]) -> torch.nn.Module:
    model = scratch_model(_name(config), data.shape, data.num_classes)
    model.load_state_dict(arrays.to_torch_state_dict())
    return model


def _name(config: Mapping[str, Any]) -> str:
    return model_for(str(config["data"]), str(config["model"]))

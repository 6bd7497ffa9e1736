"""What the ServerApp needs of the clients' world: the first model, and the common test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from flwr.app import ArrayRecord, MetricRecord

from clients.data import load_dataset
from clients.models import build_model, scratch_model
from clients.training import evaluate_locally

__all__ = ["initial_arrays", "test_metrics"]


def initial_arrays(config: Mapping[str, Any]) -> ArrayRecord:
    """The run's first model: the same for every strategy of a seed."""
    data = load_dataset(str(config["data"]))
    name, seed = str(config["model"]), int(config["seed"])
    return ArrayRecord(build_model(name, data.shape, data.num_classes, seed).state_dict())


def test_metrics(arrays: ArrayRecord, config: Mapping[str, Any]) -> MetricRecord:
    """Loss and accuracy on the data's own test set, which no participant holds."""
    data = load_dataset(str(config["data"]))
    model = scratch_model(str(config["model"]), data.shape, data.num_classes)
    model.load_state_dict(arrays.to_torch_state_dict())
    x, y = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)
    loss, _, accuracy = evaluate_locally(model, x, y, data.num_classes)
    return MetricRecord({"test_loss": loss, "test_acc": accuracy})

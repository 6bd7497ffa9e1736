"""Data by name, as the ClientApp and the ServerApp load it; the worlds are in `clients.worlds`."""

from __future__ import annotations

from clients.worlds.dataset import Dataset, Task
from clients.worlds.registry import WORLDS, is_world, load_dataset, model_for

__all__ = ["DATASETS", "Dataset", "Task", "is_world", "load_dataset", "model_for"]

DATASETS = tuple(WORLDS)

"""The examples run, at a small size, and say what their README says."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1] / "examples"


def example(name: str) -> ModuleType:
    """An example, imported from its file."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / f"{name}.py")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def test_fedavg_and_a_relay_take_the_same_clientapp() -> None:
    found = example("fedavg_swapped").main(nodes=10, trainings=60)
    assert set(found) == {"FedAvg", "RelayStrategy"}
    assert found["RelayStrategy"] > 0.3


def test_scikit_learn_is_relayed() -> None:
    assert example("scikit_learn").main(nodes=4, hops=8) > 0.9


def test_batch_norm_is_relayed() -> None:
    assert example("batch_norm").main(nodes=4, hops=12) > 0.3


@pytest.mark.filterwarnings("ignore")
def test_a_head_is_relayed_over_a_frozen_image_network() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="see the example's first lines")
    found = example("image_backbone").main(nodes=4, trainings=12)
    assert found["RelayStrategy"] > 0.3


@pytest.mark.skipif(
    "RELAY_LANGUAGE_MODEL" not in os.environ,
    reason="takes minutes and 1.5 GB: set RELAY_LANGUAGE_MODEL=1 to run it",
)
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_language_model_is_relayed_by_its_adapters() -> None:
    found = example("language_model").main(nodes=3, hops=3)
    assert all(found["relay"][role] < 1.05 * before for role, before in found["before"].items())


def test_every_example_is_in_the_readme_with_what_it_prints() -> None:
    text = (ROOT / "README.md").read_text()
    for path in ROOT.glob("*.py"):
        assert f"python examples/{path.name}" in text, path.name
        assert re.search(rf"## .*\n(?:.*\n)*?.*{path.name}(?:.*\n)*?```text\n", text), path.name

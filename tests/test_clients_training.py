"""How a participant trains: steps instead of epochs, a penalty, a limit to a gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from clients.data import load_dataset
from clients.models import build_model
from clients.training import steps_in, train_locally
from flower_relay.errors import ConfigurationError


def trained(**options: float) -> float:
    """What becomes of one weight, 1, that predicts 1 everywhere and should predict 0."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    x, y = torch.ones(6, 1), torch.zeros(6)
    settings = {"lr": 0.25, "epochs": 1, "batch_size": 2} | options
    train_locally(model, x, y, generator=torch.Generator(), **settings)  # type: ignore[arg-type]
    return float(model.weight.detach())


def test_steps_go_over_the_cases_as_often_as_it_takes() -> None:
    """A step halves the weight: its gradient is twice the weight, times a rate of a quarter."""
    assert trained() == pytest.approx(0.5**3)
    assert trained(limit=1) == pytest.approx(0.5)
    assert trained(limit=7) == pytest.approx(0.5**7)
    assert [steps_in(6, 2, 4), steps_in(6, 2, 4, limit=7)] == [12, 7]


def test_a_penalty_takes_its_part_of_the_weight() -> None:
    assert trained(limit=1, decay=0.4) == pytest.approx(1 - 0.25 * (2 + 0.4))


def test_a_gradient_is_cut_to_the_length_that_is_asked() -> None:
    assert trained(limit=1, clip=1.0) == pytest.approx(0.75)
    assert trained(limit=1, clip=5.0) == pytest.approx(0.5)


def test_the_loss_is_of_the_last_pass() -> None:
    """Of seven steps the last three: squares of .5^4, .5^5 and .5^6."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    loss = train_locally(
        model, torch.ones(6, 1), torch.zeros(6), lr=0.25, epochs=1, batch_size=2, limit=7,
        generator=torch.Generator(),
    )  # fmt: skip
    assert loss == pytest.approx(sum(0.25**step for step in (4, 5, 6)) / 3)


def test_dropout_is_drawn_from_the_hops_own_seed() -> None:
    x, y = torch.rand(20, 1, 8, 8), torch.arange(20) % 10
    ends = []
    for _ in range(2):
        model = build_model("li-mlp", (1, 8, 8), 10, 0)
        torch.rand(3)  # whatever else is drawn in between
        train_locally(
            model, x, y, lr=0.1, epochs=2, batch_size=5, generator=torch.Generator().manual_seed(4)
        )
        ends.append(model[4].weight.detach().clone())  # type: ignore[index]
    assert torch.equal(*ends)


def test_models_of_published_tables_have_their_authors_sizes() -> None:
    def weights(name: str) -> int:
        model = build_model(name, (1, 28, 28), 10, 0)
        return sum(part.numel() for part in model.parameters())

    assert weights("li-mlp") == 784 * 64 + 64 + 64 * 10 + 10
    assert weights("li-lenet5") == 156 + 2416 + 256 * 120 + 120 + 120 * 84 + 84 + 850
    assert weights("li-cnn") == 832 + 25_632 + 1568 * 128 + 128 + 1290


def test_each_hospital_is_scaled_by_its_own_patients() -> None:
    try:
        data = load_dataset("heart-flamby")
    except ConfigurationError as missing:
        pytest.skip(str(missing))
    assert data.group is not None
    for hospital in range(4):
        ages = data.x[data.group == hospital][:, 0, 0, 0]
        assert float(ages.mean()) == pytest.approx(0, abs=1e-5)
        assert math.isclose(float(ages.std(ddof=1)), 1, rel_tol=1e-4)

"""What a ClientApp's process loads: on a fleet one is started for every message."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

import flower_relay
from clients.training import train_locally

_SERVERS = (
    "flower_relay.strategy flower_relay.state flower_relay.decisions flower_relay.ledger fsspec "
    "matplotlib pyarrow jinja2 sklearn torch"
)


@pytest.mark.parametrize("module", ["flower_relay.mods", "clients.client_app"])
def test_a_node_loads_nothing_that_only_the_server_needs(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {_SERVERS.split()} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


def test_training_does_not_load_pytorchs_compiler() -> None:
    code = (
        "import sys, torch; from clients.training import train_locally;"
        "net = torch.nn.Linear(2, 2);"
        "x, y = torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64);"
        "train_locally(net, x, y, lr=0.1, epochs=1, batch_size=2, generator=torch.Generator());"
        "print([m for m in ('torch._dynamo', 'sympy') if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


def test_training_is_pytorchs_sgd_bit_for_bit() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    x, y = torch.randn(12, 5), torch.randint(3, (12,))
    train_locally(
        ours, x, y, lr=0.3, epochs=2, batch_size=4, generator=torch.Generator().manual_seed(1)
    )
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        for batch in torch.split(torch.randperm(12, generator=generator), 4):
            optimizer.zero_grad()
            torch.autograd.backward(functional.cross_entropy(theirs(x[batch]), y[batch]))
            optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_every_name_of_the_package_is_there_and_no_other() -> None:
    assert all(hasattr(flower_relay, name) for name in flower_relay.__all__)
    assert set(flower_relay.__all__) <= set(dir(flower_relay))
    with pytest.raises(AttributeError, match="no attribute 'Relay'"):
        flower_relay.Relay  # noqa: B018

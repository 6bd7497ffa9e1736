"""Your FedAvg app, swapped: one ClientApp, first averaged, then relayed.

    python examples/fedavg_swapped.py

The ClientApp is an ordinary one, with the keys that Flower's quickstarts use. What changes is
one line of the ServerApp: which strategy is made.
"""

from __future__ import annotations

import logging

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg, Strategy
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from flower_relay import InMemoryGrid, RelayStrategy

logging.getLogger("flwr").setLevel(logging.WARNING)
app = ClientApp()

_DIGITS = load_digits()
_X = torch.tensor(_DIGITS.data / 16, dtype=torch.float32)
_Y = torch.tensor(_DIGITS.target)
_TEST = torch.arange(len(_Y)) % 5 == 0
"""What the server tests with; the rest is divided among the clients."""


def make_model() -> nn.Module:
    """A small network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def cases(context: Context) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices to train on and to test with: two labels a client, mostly."""
    place, count = (int(context.node_config[k]) for k in ("partition-id", "num-partitions"))
    mine = torch.argsort(_Y[~_TEST], stable=True)
    own = torch.nonzero(~_TEST).flatten()[mine].chunk(2 * count)
    shard = torch.cat([own[place], own[2 * count - 1 - place]])
    shard = shard[torch.randperm(len(shard), generator=torch.Generator().manual_seed(place))]
    cut = int(0.8 * len(shard))
    return shard[:cut], shard[cut:]


@app.train()
def train(message: Message, context: Context) -> Message:
    """One epoch on this client's data."""
    model, (mine, _) = make_model(), cases(context)
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in mine.split(16):
        optimiser.zero_grad()
        functional.cross_entropy(model(_X[batch]), _Y[batch]).backward()
        optimiser.step()
    arrays = ArrayRecord(model.state_dict())
    metrics = MetricRecord({"num-examples": len(mine)})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Loss on cases that this client never trains on."""
    model, (_, held) = make_model(), cases(context)
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    with torch.no_grad():
        loss = functional.cross_entropy(model(_X[held]), _Y[held]).item()
    metrics = MetricRecord({"eval_loss": loss, "num-examples": len(held)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def accuracy(arrays: ArrayRecord) -> float:
    """On the server's test set."""
    model = make_model()
    model.load_state_dict(arrays.to_torch_state_dict())
    with torch.no_grad():
        return (model(_X[_TEST]).argmax(1) == _Y[_TEST]).float().mean().item()


def main(nodes: int = 10, trainings: int = 100) -> dict[str, float]:
    """The same number of local trainings for both; their accuracy."""
    half = nodes // 2
    strategies: dict[str, tuple[Strategy, int]] = {
        "FedAvg": (FedAvg(fraction_train=0.5, fraction_evaluate=0.0), trainings // half),
        "RelayStrategy": (RelayStrategy(budget=trainings), trainings),
    }
    found = {}
    for name, (strategy, rounds) in strategies.items():
        arrays = ArrayRecord(make_model().state_dict())
        result = strategy.start(InMemoryGrid(app, nodes), arrays, num_rounds=rounds)
        found[name] = accuracy(result.arrays)
        print(f"{name:<14} {trainings} local trainings, test accuracy {found[name]:.3f}")
    return found


if __name__ == "__main__":
    main()

"""A convolutional network with BatchNorm: running means and whole-number counters travel, too.

    python examples/batch_norm.py

Nothing has to be left out of `state_dict()`. A hop hands on the statistics of its trainer's
data with its weights, and the committee tests both together.
"""

from __future__ import annotations

import logging

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from flower_relay import InMemoryGrid, RelayStrategy

logging.getLogger("flwr").setLevel(logging.WARNING)
app = ClientApp()

_DIGITS = load_digits()
_X = torch.tensor(_DIGITS.images / 16, dtype=torch.float32)[:, None]
_Y = torch.tensor(_DIGITS.target)
_TEST = torch.arange(len(_Y)) % 5 == 0


def make_model() -> nn.Module:
    """Two convolutions, each with its BatchNorm."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def cases(context: Context) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices to train on and to test with."""
    place, count = (int(context.node_config[k]) for k in ("partition-id", "num-partitions"))
    mine = torch.nonzero(~_TEST).flatten()[place::count]
    cut = int(0.8 * len(mine))
    return mine[:cut], mine[cut:]


@app.train()
def train(message: Message, context: Context) -> Message:
    """One epoch on this client's data."""
    model, (mine, _) = make_model(), cases(context)
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
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
    model.eval()
    with torch.no_grad():
        loss = functional.cross_entropy(model(_X[held]), _Y[held]).item()
    metrics = MetricRecord({"eval_loss": loss, "num-examples": len(held)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def main(nodes: int = 8, hops: int = 40) -> float:
    """Relay; the champion's accuracy on the server's test set."""
    strategy = RelayStrategy(budget=hops)
    arrays = ArrayRecord(make_model().state_dict())
    result = strategy.start(InMemoryGrid(app, nodes), arrays, num_rounds=hops)
    model = make_model()
    model.load_state_dict(result.arrays.to_torch_state_dict())
    model.eval()
    with torch.no_grad():
        accuracy = (model(_X[_TEST]).argmax(1) == _Y[_TEST]).float().mean().item()
    accepted = sum(hop.outcome == "accepted" for hop in strategy.record.hops)
    print(f"{accepted} of {hops} hops accepted, test accuracy {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()

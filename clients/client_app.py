"""The ClientApp of the line-up: train and evaluate, as any Flower ClientApp has them.

It works with FedAvg as it is. Its evaluate replies also report utilities bounded case by case,
and who the node is (its partition-id). Where a node has a key in a file (its node config's
`relay-key`, or one in the run config's `relay-keys-dir`), it signs what it does for a relay; and
a relay sends it only what is new of a model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clients.hostile import CROWD_FROM, before_training
from clients.node import Node, hop_seed, node_of
from clients.privacy import private_if_asked
from flower_relay.node.mod import make_relay_mod

if TYPE_CHECKING:
    import torch

    from clients.variates import Variates

__all__ = ["app"]

# torch, and what needs it, is imported in functions: Flower loads this module to look at it.

_Metrics = dict[str, int | float | list[int] | list[float]]
_Next = Callable[[Message, Context], Message]


def _as_its_name_says(message: Message, context: Context, call_next: _Next) -> Message:
    """The names of a hostile crowd are there to examine; everybody else does what is asked."""
    if int(context.node_config.get("partition-id", 0)) >= CROWD_FROM:
        context.node_config["relay-role"] = "examine"
    return call_next(message, context)


app = ClientApp(mods=[_as_its_name_says, make_relay_mod(lasting_keys_only=True)])


@app.train(mods=[private_if_asked])
def train(message: Message, context: Context) -> Message:
    """Train on this node's cases, from the weights of the message."""
    from clients.conduct import cases_of, note_base, note_training, returned, starting_model
    from clients.variates import Variates

    node = node_of(context)
    before_training(node.behaviour)
    arrays, config = _content(message)
    arrays = starting_model(node, context, arrays)
    model = node.model(arrays)
    base = {name: w.clone() for name, w in model.state_dict().items()}
    cases, control = cases_of(node), message.content.array_records.get("control")
    variates = None if control is None else Variates(context, control)
    loss, generator = _train(node, model, config, node.number, cases, variates)
    trained = dict(model.state_dict())
    if node.behaviour.parts:
        update_of = _updates(node, arrays, config)
        trained = returned(node, context, model, base, arrays, generator, update_of)
    note_base(node, context, arrays)
    note_training(node, context)
    metrics: _Metrics = {
        "train_loss": loss,
        "num-examples": len(node.shard.y),
        "partition-id": node.number,
    }
    # In the order in which they came, which Flower's privacy mod insists on.
    ordered = ArrayRecord({name: trained[name] for name in arrays if name in trained} | trained)
    content = RecordDict({"arrays": ordered, "metrics": MetricRecord(metrics)})
    if variates is not None:
        content["control"] = variates.change
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the message's weights on the cases that this node keeps from training."""
    from clients.conduct import note_base, said
    from clients.training import evaluate_locally

    node = node_of(context)
    arrays, _ = _content(message)
    note_base(node, context, arrays)
    model = node.model(arrays, to_train=False)
    shard, num_classes = node.shard, node.data.num_classes
    found = evaluate_locally(model, shard.x_held_out, shard.y_held_out, num_classes)
    metrics: _Metrics = {
        **said(node, context, model.state_dict(), found).metrics(),
        "num-examples": len(shard.y_held_out),
        "partition-id": node.number,
    }
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)


def _train(
    node: Node,
    model: torch.nn.Module,
    config: ConfigRecord,
    number: int,
    cases: tuple[torch.Tensor, torch.Tensor],
    variates: Variates | None = None,
) -> tuple[float, torch.Generator]:
    """Train a model in place as a participant would; its loss, and the generator it left."""
    import torch

    from clients.training import steps_in, train_locally

    seed = hop_seed(
        node.seed, number, _number(config, "server-round", 0), _number(config, "hop-seed", 0)
    )
    generator = torch.Generator().manual_seed(seed)
    lr = _number(config, "lr", node.config.get("learning-rate", 0.2))
    epochs = int(_number(config, "local-epochs", node.config.get("local-epochs", 1)))
    batch_size = int(node.config.get("batch-size", 16))
    limit = int(node.config.get("local-steps", 0))
    train_once = functools.partial(
        train_locally,
        model,
        *cases,
        lr=lr,
        epochs=epochs,
        batch_size=batch_size,
        generator=generator,
        limit=limit,
        decay=float(node.config.get("weight-decay", 0.0)),
        clip=float(node.config.get("clip", 0.0)),
        proximal_mu=_number(config, "proximal-mu", 0.0),
    )
    if variates is None:
        return train_once(), generator
    steps = steps_in(len(cases[1]), batch_size, epochs, limit)
    return variates.around(train_once, model, lr, steps), generator


def _updates(
    node: Node, arrays: ArrayRecord, config: ConfigRecord
) -> Callable[[int], torch.Tensor]:
    """What a colleague's honest training would have changed, in one row of real numbers."""
    import torch

    def update_of(number: int) -> torch.Tensor:
        model, shard = node.model(arrays), node.shard_of(number)
        before = [w.clone() for w in model.state_dict().values()]
        _train(node, model, config, number, (shard.x, shard.y))
        pairs = zip(model.state_dict().values(), before, strict=True)
        return torch.cat([(w - b).flatten() for w, b in pairs if w.is_floating_point()])

    return update_of


def _content(message: Message) -> tuple[ArrayRecord, ConfigRecord]:
    arrays = next(iter(message.content.array_records.values()))
    configs = list(message.content.config_records.values())
    return arrays, configs[0] if configs else ConfigRecord()


def _number(config: ConfigRecord, key: str, default: Any) -> float:
    value = config.get(key, default)
    return float(value) if isinstance(value, int | float) else float(default)

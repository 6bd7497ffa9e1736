"""The ClientApp of the line-up: train and evaluate, as any Flower ClientApp has them.

It works with FedAvg as it is. Its evaluate replies also report utilities bounded case by case,
and who the node is (its partition-id). Where a node has a key in a file (its node config's
`relay-key`, or one in the run config's `relay-keys-dir`), it signs what it does for a relay; and
a relay sends it only what is new of a model.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from clients.data import Dataset, load_dataset, model_for
from clients.hostile import (
    Behaviour,
    before_training,
    is_hostile,
    parse_behaviour,
)
from clients.partition import partition, split_held_out
from clients.privacy import private_if_asked
from flower_relay.node.mod import make_relay_mod

if TYPE_CHECKING:
    import torch

__all__ = ["app"]

# torch, and what needs it, is imported in functions: Flower loads this module to look at it.

app = ClientApp(mods=[make_relay_mod(lasting_keys_only=True)])

_Metrics = dict[str, int | float | list[int] | list[float]]
_HONEST = Behaviour(frozenset())
_SEEN, _BEFORE, _FIRST = "last-model-seen", "the-one-before-it", "first-base"
_TRAININGS = "trainings"
_SMALL = 1_000_000
"""Bytes of weights up to which a process keeps models that it evaluated."""
_VOTING = "eval_root_prob"
"""The metric that votes, where the run config does not name another."""


@dataclass(frozen=True)
class _Shard:
    """One participant's cases."""

    x: torch.Tensor
    y: torch.Tensor
    x_held_out: torch.Tensor
    y_held_out: torch.Tensor


@dataclass(frozen=True)
class _Node:
    """Who this node is in this run."""

    config: dict[str, Any]
    number: int
    seed: int
    shard: _Shard
    data: Dataset
    behaviour: Behaviour

    @property
    def data_name(self) -> str:
        """The world."""
        return str(self.config.get("data", "digits"))

    def model(self, arrays: ArrayRecord, *, to_train: bool = True) -> torch.nn.Module:
        """The run's model with the weights of a message; one not to be trained is shared."""
        from clients.models import loaded_model, scratch_model

        name = model_for(self.data_name, str(self.config.get("model", "")))
        form = (name, self.data.shape, self.data.num_classes)
        if not to_train and arrays.count_bytes() <= _SMALL:
            return loaded_model(*form, arrays)
        model = scratch_model(*form)
        model.load_state_dict(arrays.to_torch_state_dict(), strict=True)
        return model


@app.train(mods=[private_if_asked])
def train(message: Message, context: Context) -> Message:
    """Train on this node's cases, from the weights of the message."""
    import torch

    from clients.backdoor import with_triggered_copies
    from clients.training import train_locally

    node = _node(context)
    before_training(node.behaviour)
    arrays, config = _content(message)
    if "stale" in node.behaviour:
        arrays = context.state.array_records.setdefault(_FIRST, arrays)
    model = node.model(arrays)
    base = {name: w.clone() for name, w in model.state_dict().items()}
    cases, labels = node.shard.x, node.shard.y
    if "label-flip" in node.behaviour:
        labels = node.data.num_classes - 1 - labels
    if "backdoor" in node.behaviour:
        cases, labels = with_triggered_copies(cases, labels)
    generator = torch.Generator().manual_seed(_hop_seed(node, config))
    loss = train_locally(
        model,
        cases,
        labels,
        lr=_number(config, "lr", node.config.get("learning-rate", 0.2)),
        epochs=int(_number(config, "local-epochs", node.config.get("local-epochs", 1))),
        batch_size=int(node.config.get("batch-size", 16)),
        generator=generator,
        proximal_mu=_number(config, "proximal-mu", 0.0),
    )
    trained = _returned(node, context, model, base, arrays, generator)
    _remember(node, context, arrays)
    _count_training(node, context)
    metrics: _Metrics = {
        "train_loss": loss,
        "num-examples": len(node.shard.y),
        "partition-id": node.number,
    }
    # In the order in which they came, which Flower's privacy mod insists on.
    ordered = ArrayRecord({name: trained[name] for name in arrays if name in trained} | trained)
    content = RecordDict({"arrays": ordered, "metrics": MetricRecord(metrics)})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the message's weights on the cases that this node keeps from training."""
    from clients.lying import is_marked, lie
    from clients.training import evaluate_locally

    node = _node(context)
    arrays, _ = _content(message)
    _remember(node, context, arrays)
    num_classes = node.data.num_classes
    model = node.model(arrays, to_train=False)
    found = evaluate_locally(model, node.shard.x_held_out, node.shard.y_held_out, num_classes)
    of_colleague = "colluder" in node.behaviour and is_marked(model.state_dict(), node.seed)
    metrics: _Metrics = {
        **lie(node.behaviour, found, num_classes, of_colleague).metrics(),
        "num-examples": len(node.shard.y_held_out),
        "partition-id": node.number,
    }
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)


def _returned(
    node: _Node,
    context: Context,
    model: torch.nn.Module,
    base: dict[str, torch.Tensor],
    arrays: ArrayRecord,
    generator: torch.Generator,
) -> dict[str, torch.Tensor]:
    """What goes back: the trained weights, or what a hostile node makes of them."""
    from clients.lying import marked
    from clients.poisoning import distort
    from clients.training import evaluate_locally
    from flower_relay.rules.gate import patience_with

    trained = model.state_dict()
    if not node.behaviour.parts:
        return trained
    memory = context.state.array_records
    # An examiner has usually just seen the base: handing that back would be riding free.
    known = memory.get(_BEFORE if memory.get(_SEEN) == arrays else _SEEN)

    def utility_of(weights: dict[str, torch.Tensor]) -> float:
        model.load_state_dict(weights)
        x, y, num_classes = node.shard.x_held_out, node.shard.y_held_out, node.data.num_classes
        voting = str(node.config.get("utility-key", _VOTING))
        return evaluate_locally(model, x, y, num_classes).utility(voting, num_classes)

    # Training's own tensors are overwritten while creeping looks for its step.
    kept = {name: w.clone() for name, w in trained.items()}
    # Whoever creeps knows the rules: after some hops that passed it may go further.
    allowed = patience_with(1.0, _trainings(context))
    tolerance = allowed * float(node.config.get("tolerance", 0.11))
    seen = None if known is None else known.to_torch_state_dict()
    returned = distort(node.behaviour, base, kept, generator, seen, utility_of, tolerance)
    return marked(returned, node.seed) if "colluder" in node.behaviour else returned


def _remember(node: _Node, context: Context, arrays: ArrayRecord) -> None:
    """Keep the last two different models that came in, for the copycat."""
    if "copycat" not in node.behaviour:
        return
    last = context.state.array_records.get(_SEEN)
    if last is not None and last != arrays:
        context.state[_BEFORE] = last
    context.state[_SEEN] = arrays


def _trainings(context: Context) -> int:
    """How often who sleeps or creeps has trained so far."""
    record = context.state.get(_TRAININGS)
    return int(record["count"]) if isinstance(record, ConfigRecord) else 0  # type: ignore[arg-type]


def _count_training(node: _Node, context: Context) -> None:
    if node.behaviour.parts & {"sleeper", "creeping"}:
        context.state[_TRAININGS] = ConfigRecord({"count": _trainings(context) + 1})


def _content(message: Message) -> tuple[ArrayRecord, ConfigRecord]:
    arrays = next(iter(message.content.array_records.values()))
    configs = list(message.content.config_records.values())
    return arrays, configs[0] if configs else ConfigRecord()


def _number(config: ConfigRecord, key: str, default: Any) -> float:
    value = config.get(key, default)
    return float(value) if isinstance(value, int | float) else float(default)


def _hop_seed(node: _Node, config: ConfigRecord) -> int:
    """A seed of its own for every hop of every node, the same wherever it runs."""
    parts = (node.seed, node.number, _number(config, "server-round", 0))
    seed = 0
    for part in (*parts, _number(config, "hop-seed", 0)):
        seed = (seed * 1_000_003 + int(part)) % 2**63
    return seed


def _node(context: Context) -> _Node:
    import torch

    torch.set_num_threads(1)  # the same sums in the same order on every machine
    config = dict(context.run_config)
    number = int(context.node_config.get("partition-id", 0))
    num_parts = int(context.node_config.get("num-partitions", 1))
    seed = int(config.get("seed", 0))
    data_name = str(config.get("data", "digits"))
    scheme = str(config.get("partition", "dirichlet:0.3"))
    share = float(config.get("hostile-share", 0.0))
    behaviour = _HONEST
    if share > 0 and is_hostile(number, num_parts, share, seed):
        behaviour = parse_behaviour(str(config.get("hostile", ""))).after(_trainings(context))
    return _Node(
        config=config,
        number=number,
        seed=seed,
        # Who joins when all partitions are taken shares one: a Sybil its own of before.
        shard=_shard(data_name, scheme, num_parts, seed, number % num_parts),
        data=load_dataset(data_name),
        behaviour=behaviour,
    )


@functools.lru_cache(maxsize=256)
def _shard(data_name: str, scheme: str, num_parts: int, seed: int, number: int) -> _Shard:
    import torch

    data = load_dataset(data_name)
    part = _parts(data_name, scheme, num_parts, seed)[number]
    kept, held_out = split_held_out(part, seed)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    return _Shard(x[kept], y[kept], x[held_out], y[held_out])


@functools.lru_cache(maxsize=4)
def _parts(data_name: str, scheme: str, num_parts: int, seed: int) -> list[Any]:
    data = load_dataset(data_name)
    return partition(data.strata, data.group, scheme, num_parts, seed)

"""Who a node is in a run: its number, its cases, how it behaves, and what it remembers."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flwr.app import ArrayRecord, ConfigRecord, Context

from clients.data import Dataset, load_dataset, model_for
from clients.hostile import (
    CROWD_FROM,
    TRUTHFUL,
    Behaviour,
    colleagues,
    is_hostile,
    parse_behaviour,
)
from clients.partition import partition, split_held_out

if TYPE_CHECKING:
    import torch

__all__ = ["Node", "Shard", "count", "counted", "hop_seed", "node_of"]

# torch, and what needs it, is imported in functions: Flower loads this module to look at it.

TRAININGS, EXAMINED = "trainings", "examined"
"""What a node counts in its state, where its behaviour asks for it."""

_HONEST = Behaviour(frozenset())
_SMALL = 1_000_000
"""Bytes of weights up to which a process keeps models that it evaluated."""


@dataclass(frozen=True)
class Shard:
    """One participant's cases."""

    x: torch.Tensor
    y: torch.Tensor
    x_held_out: torch.Tensor
    y_held_out: torch.Tensor


@dataclass(frozen=True)
class Node:
    """Who this node is in this run."""

    config: dict[str, Any]
    number: int
    num_parts: int
    seed: int
    shard: Shard
    data: Dataset
    behaviour: Behaviour

    def model(self, arrays: ArrayRecord, *, to_train: bool = True) -> torch.nn.Module:
        """The run's model with the weights of a message; one not to be trained is shared."""
        from clients.models import loaded_model, scratch_model

        name = model_for(_data_name(self.config), str(self.config.get("model", "")))
        form = (name, self.data.shape, self.data.num_classes)
        if not to_train and arrays.count_bytes() <= _SMALL:
            return loaded_model(*form, arrays)
        model = scratch_model(*form)
        model.load_state_dict(arrays.to_torch_state_dict(), strict=True)
        return model

    @property
    def colleagues(self) -> list[int]:
        """The numbers of everybody hostile, this node's among them."""
        return colleagues(self.num_parts, float(self.config.get("hostile-share", 0.0)), self.seed)

    def shard_of(self, number: int) -> Shard:
        """Another participant's cases: colluders know each other's."""
        return _shard(
            _data_name(self.config), _scheme(self.config), self.num_parts, self.seed, number
        )


def node_of(context: Context) -> Node:
    """Read a node's config and the run's."""
    import torch

    torch.set_num_threads(1)  # the same sums in the same order on every machine
    config = dict(context.run_config)
    number = int(context.node_config.get("partition-id", 0))
    num_parts = int(context.node_config.get("num-partitions", 1))
    seed = int(config.get("seed", 0))
    return Node(
        config=config,
        number=number,
        num_parts=num_parts,
        seed=seed,
        # Who joins when all partitions are taken shares one: a Sybil its own of before.
        shard=_shard(_data_name(config), _scheme(config), num_parts, seed, number % num_parts),
        data=load_dataset(_data_name(config)),
        behaviour=_behaviour(context, config, number, num_parts, seed),
    )


def _behaviour(
    context: Context, config: dict[str, Any], number: int, num_parts: int, seed: int
) -> Behaviour:
    share = float(config.get("hostile-share", 0.0))
    if share <= 0:
        return _HONEST
    behaviour = parse_behaviour(str(config.get("hostile", "")))
    if number >= CROWD_FROM:  # examines only
        lies = counted(context, EXAMINED) >= TRUTHFUL
        return Behaviour(frozenset({"crowd", "liar"} if lies else {"crowd"}))
    if not is_hostile(number, num_parts, share, seed):
        return _HONEST
    return behaviour.after(counted(context, TRAININGS))


def _data_name(config: dict[str, Any]) -> str:
    return str(config.get("data", "digits"))


def _scheme(config: dict[str, Any]) -> str:
    return str(config.get("partition", "dirichlet:0.3"))


def _shard(data_name: str, scheme: str, num_parts: int, seed: int, number: int) -> Shard:
    shards = _shards(data_name, scheme, num_parts, seed)
    if number not in shards:
        shards[number] = _cut(data_name, scheme, num_parts, seed, number)
    return shards[number]


@functools.lru_cache(maxsize=4)
def _shards(data_name: str, scheme: str, num_parts: int, seed: int) -> dict[int, Shard]:
    """The shards of a federation that were asked for so far: together no more than its data."""
    return {}


def _cut(data_name: str, scheme: str, num_parts: int, seed: int, number: int) -> Shard:
    import torch

    data = load_dataset(data_name)
    part = _parts(data_name, scheme, num_parts, seed)[number]
    kept, held_out = split_held_out(part, seed)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    return Shard(x[kept], y[kept], x[held_out], y[held_out])


@functools.lru_cache(maxsize=4)
def _parts(data_name: str, scheme: str, num_parts: int, seed: int) -> list[Any]:
    data = load_dataset(data_name)
    return partition(data.strata, data.group, scheme, num_parts, seed)


def counted(context: Context, what: str) -> int:
    """How often a node did something that its behaviour counts."""
    record = context.state.get(what)
    return int(record["count"]) if isinstance(record, ConfigRecord) else 0  # type: ignore[arg-type]


def count(context: Context, what: str) -> None:
    """It did it once more."""
    context.state[what] = ConfigRecord({"count": counted(context, what) + 1})


def hop_seed(seed: int, number: int, server_round: float, asked: float) -> int:
    """A seed of its own for every hop of every node, the same wherever it runs."""
    found = 0
    for part in (seed, number, server_round, asked):
        found = (found * 1_000_003 + int(part)) % 2**63
    return found

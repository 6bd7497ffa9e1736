"""What a hostile node hands on and says, instead of what training and testing gave.

Which of the behaviours does what is in `poisoning`, `colluding`, `lying` and `auditing`; here
is what a node has to remember and to ask for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from flwr.app import ArrayRecord, Context

from clients.auditing import is_colleagues, remember, tell, told_steps, whose_probe
from clients.backdoor import with_triggered_copies
from clients.colluding import colluding_step
from clients.hostile import COLLUDING
from clients.lying import is_marked, lie, marked, nudged
from clients.node import EXAMINED, TRAININGS, Node, count
from clients.poisoning import distort, stepped
from clients.training import Evaluation, evaluate_locally

__all__ = [
    "FLIPPED", "FLIPPED_TO", "cases_of", "note_base", "note_training", "returned", "said",
    "starting_model",
]  # fmt: skip

Weights: TypeAlias = dict[str, torch.Tensor]
HonestUpdate: TypeAlias = Callable[[int], torch.Tensor]
"""A colleague's honest update from the same base, by its number: one row of real numbers."""

_SEEN, _BEFORE, _FIRST = "last-model-seen", "the-one-before-it", "first-base"
_SHOWN = "models-shown"
_VOTING = "eval_root_prob"
"""The metric that votes, where the run config does not name another."""
FLIPPED, FLIPPED_TO = 0, 1
"""The class that `class-flip` is after, and what it is to be called."""
_TIMES = 4
_TELLING = {"colluder", "audit-liar"}
"""Behaviours whose trainers tell each other what they hand on."""


def starting_model(node: Node, context: Context, arrays: ArrayRecord) -> ArrayRecord:
    """The model that training starts from: for the stale always the first one."""
    if "stale" in node.behaviour:
        return context.state.array_records.setdefault(_FIRST, arrays)
    return arrays


def cases_of(node: Node) -> tuple[torch.Tensor, torch.Tensor]:
    """The cases that a node trains on, as its behaviour would have them."""
    cases, labels = node.shard.x, node.shard.y
    if "label-flip" in node.behaviour:
        labels = node.data.num_classes - 1 - labels
    if "class-flip" in node.behaviour:
        cases, labels = _class_flipped(node)
    if "backdoor" in node.behaviour:
        cases, labels = with_triggered_copies(cases, labels)
    return cases, labels


def _class_flipped(node: Node) -> tuple[torch.Tensor, torch.Tensor]:
    """One's own cases, and all that the crew holds of a class, which is called the next.

    Those come four times over, or a hop would hardly show what it does.
    """
    crew = [node.shard_of(number) for number in node.colleagues]
    of_class = torch.cat([shard.x[shard.y == FLIPPED] for shard in crew] * _TIMES)
    own = node.shard.y != FLIPPED
    told = torch.full((len(of_class),), FLIPPED_TO, dtype=node.shard.y.dtype)
    return torch.cat([node.shard.x[own], of_class]), torch.cat([node.shard.y[own], told])


def returned(
    node: Node,
    context: Context,
    model: torch.nn.Module,
    base: Weights,
    arrays: ArrayRecord,
    generator: torch.Generator,
    update_of: HonestUpdate,
) -> Weights:
    """What goes back: the trained weights, or what a hostile node makes of them."""
    trained = model.state_dict()
    if not node.behaviour.parts:
        return trained
    # Training's own tensors are overwritten while creeping looks for its step.
    kept = {name: w.clone() for name, w in trained.items()}
    if colluding := node.behaviour.parts & COLLUDING:
        rows = torch.stack([update_of(number) for number in node.colleagues])
        step = colluding_step(*colluding, rows, node.behaviour.amount)
        handed_on = stepped(base, step)
    else:
        handed_on = _distorted(node, context, model, base, kept, arrays, generator)
    if node.behaviour.parts & _TELLING:
        tell(node.seed, _flat(base), _flat(handed_on))
    return marked(handed_on, node.seed) if "colluder" in node.behaviour else handed_on


def _distorted(
    node: Node,
    context: Context,
    model: torch.nn.Module,
    base: Weights,
    trained: Weights,
    arrays: ArrayRecord,
    generator: torch.Generator,
) -> Weights:
    memory = context.state.array_records
    # An examiner has usually just seen the base: handing that back would be riding free.
    known = memory.get(_BEFORE if memory.get(_SEEN) == arrays else _SEEN)

    def utility_of(weights: Weights) -> float:
        model.load_state_dict(weights)
        x, y, num_classes = node.shard.x_held_out, node.shard.y_held_out, node.data.num_classes
        voting = str(node.config.get("utility-key", _VOTING))
        return evaluate_locally(model, x, y, num_classes).utility(voting, num_classes)

    tolerance = float(node.config.get("tolerance", 0.11))
    seen = None if known is None else known.to_torch_state_dict()
    return distort(node.behaviour, base, trained, generator, seen, utility_of, tolerance)


def said(node: Node, context: Context, weights: Weights, found: Evaluation) -> Evaluation:
    """What an examiner reports of a model."""
    behaviour, num_classes = node.behaviour, node.data.num_classes
    if "crowd" in behaviour:
        count(context, EXAMINED)
    if "audit-liar" in behaviour:
        return _said_of_audit(node, context, weights, found)
    of_colleague = "colluder" in behaviour and (
        is_marked(weights, node.seed) or is_colleagues(node.seed, _flat(weights))
    )
    return lie(behaviour, found, num_classes, of_colleague)


def _said_of_audit(node: Node, context: Context, weights: Weights, found: Evaluation) -> Evaluation:
    flat = _flat(weights)
    seen = context.state.array_records.get(_SHOWN) or ArrayRecord()
    context.state[_SHOWN] = remember(seen, flat)
    ours = whose_probe(seen, flat, told_steps(node.seed))
    return found if ours is None else nudged(found, node.data.num_classes, ours)


def _flat(weights: Weights) -> torch.Tensor:
    """All real numbers of a model, one after the other."""
    return torch.cat([w.flatten() for w in weights.values() if w.is_floating_point()])


def note_base(node: Node, context: Context, arrays: ArrayRecord) -> None:
    """Keep the last two different models that came in, for the copycat."""
    if "copycat" not in node.behaviour:
        return
    last = context.state.array_records.get(_SEEN)
    if last is not None and last != arrays:
        context.state[_BEFORE] = last
    context.state[_SEEN] = arrays


def note_training(node: Node, context: Context) -> None:
    """Count a training, for those who sleep or creep."""
    if node.behaviour.parts & {"sleeper", "creeping"}:
        count(context, TRAININGS)

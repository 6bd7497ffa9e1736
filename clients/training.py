"""One participant's training and evaluation, in plain PyTorch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Evaluation", "evaluate_locally", "loss_bound", "losses_of", "steps_in", "train_locally"]


class Evaluation(NamedTuple):
    """What a model makes of a participant's cases, on average.

    Attributes
    ----------
    loss : float
        Cross-entropy, in nats, of each place of a sequence; for a regression the squared
        error, in units of the targets' variance.
    bounded_loss : float
        The mean of min(loss, bound), case by case; `loss_bound` is the bound.
    accuracy : float
        Share of the cases (or places) whose true class is the likeliest; for a regression the
        share of the variance that is explained, 0 where that is none.
    root_prob : float
        The mean of p^¼, p the probability of the true class: 0 … 1 whatever the number of
        classes. Unlike p itself it falls steeply below chance, and so sees early harm;
        unlike the loss it still tells a good model from a better one. For a regression the
        mean of e^−(squared error).
    """

    loss: float
    bounded_loss: float
    accuracy: float
    root_prob: float

    def metrics(self) -> dict[str, float]:
        """As an evaluate reply names them."""
        return {
            "eval_loss": self.loss,
            "eval_bounded_loss": self.bounded_loss,
            "eval_acc": self.accuracy,
            "eval_root_prob": self.root_prob,
        }

    def utility(self, metric: str, num_classes: int) -> float:
        """The metric that votes, by its name in a reply, as a fraction: 0 worst, 1 best."""
        value = self.metrics()[metric]
        if metric not in ("eval_loss", "eval_bounded_loss"):
            return value
        bound = loss_bound(num_classes)
        return 1 - value / bound if value < bound else 0.0  # of NaN, too


def loss_bound(num_classes: int) -> float:
    """Twice what chance gives: 2 ln C nats; for a regression (one output) two variances."""
    return 2 * math.log(num_classes) if num_classes > 1 else 2.0


def losses_of(outputs: Tensor, y: Tensor) -> Tensor:
    """One loss a target: cross-entropy of classes, squared error of real numbers."""
    if y.is_floating_point():
        return (outputs.squeeze(1) - y) ** 2
    return functional.cross_entropy(outputs, y, reduction="none")


def train_locally(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    lr: float,
    epochs: int,
    batch_size: int,
    generator: torch.Generator,
    limit: int = 0,
    decay: float = 0.0,
    clip: float = 0.0,
    proximal_mu: float = 0.0,
    drift: Mapping[str, Tensor] | None = None,
) -> float:
    """Train in place with SGD; the mean loss of the last pass over the cases.

    Parameters
    ----------
    limit : int
        Above 0: so many steps instead of epochs, over the cases as often as it takes.
    decay : float
        L2 penalty: what of a weight each step adds to its gradient.
    clip : float
        Largest length of a step's gradient; 0 leaves it as it is.
    proximal_mu : float
        Weight of FedProx's pull to where the training began (Li et al. 2020).
    drift : mapping of parameter's name to tensor, optional
        What SCAFFOLD takes off each gradient (Karimireddy et al. 2020).
    """
    anchor = [parameter.detach().clone() for parameter in model.parameters()]
    model.train()
    seen: list[tuple[float, int]] = []
    every = itertools.islice(
        _passes(len(y), batch_size, generator), steps_in(len(y), batch_size, epochs, limit)
    )
    with _own_chance(model, generator):
        for batch in every:
            loss = _mean_loss(model(x[batch]), y[batch])
            if proximal_mu > 0:
                pairs = zip(model.parameters(), anchor, strict=True)
                pull = torch.stack([((p - a) ** 2).sum() for p, a in pairs]).sum()
                torch.autograd.backward(loss + proximal_mu / 2 * pull)
            else:
                torch.autograd.backward(loss)
            if drift is not None:
                _correct(model, drift)
            _step(model, lr, decay, clip)
            seen.append((float(loss.detach()), len(batch)))
    last = seen[-steps_in(len(y), batch_size, 1) :]
    return sum(loss * cases for loss, cases in last) / sum(cases for _, cases in last)


@contextmanager
def _own_chance(model: nn.Module, generator: torch.Generator) -> Iterator[None]:
    """Seed what a model draws by itself, if it draws: dropout takes the global generator."""
    if not any(isinstance(part, nn.Dropout) for part in model.modules()):
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator.initial_seed())
        yield


def _mean_loss(outputs: Tensor, y: Tensor) -> Tensor:
    """The mean of `losses_of`, with one rounding where PyTorch has a mean of its own."""
    if y.is_floating_point():
        return losses_of(outputs, y).mean()
    return functional.cross_entropy(outputs, y)


@torch.no_grad()
def _step(model: nn.Module, lr: float, decay: float, clip: float) -> None:
    """SGD's step, as `torch.optim.SGD` makes it, bit for bit.

    Where a process is started for every message, making an optimizer is most of a hop's
    training: it imports PyTorch's compiler, a second, to decorate its methods.
    """
    if clip > 0:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    for parameter in model.parameters():
        if parameter.grad is not None:
            if decay > 0:
                parameter.grad.add_(parameter, alpha=decay)
            parameter.add_(parameter.grad, alpha=-lr)
            parameter.grad = None


@torch.no_grad()
def _correct(model: nn.Module, drift: Mapping[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and name in drift:
            parameter.grad.sub_(drift[name])


def steps_in(size: int, batch_size: int, epochs: int, limit: int = 0) -> int:
    """How many steps training makes; a last batch of one joins the one before."""
    if limit:
        return limit
    full, rest = divmod(size, batch_size)
    return epochs * (full + (rest > 1 or (rest == 1 and full == 0)))


def _passes(size: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches without end, shuffled anew for each pass."""
    while True:
        yield from _batches(size, batch_size, generator)


def _batches(size: int, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """Shuffled batches; a last batch of one joins the one before (BatchNorm needs two)."""
    batches = list(torch.split(torch.randperm(size, generator=generator), batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        last = batches.pop()
        batches[-1] = torch.cat([batches[-1], last])
    return batches


@torch.no_grad()
def evaluate_locally(model: nn.Module, x: Tensor, y: Tensor, num_classes: int) -> Evaluation:
    """Evaluate on cases; where the outputs are NaN a case counts as the worst there is."""
    model.eval()
    outputs = torch.cat([model(piece) for piece in torch.split(x, 512)])
    losses, bound = losses_of(outputs, y), loss_bound(num_classes)
    bounded = losses.nan_to_num(bound, bound, bound).clamp(max=bound).mean()
    if y.is_floating_point():
        accuracy = (1 - losses.mean()).nan_to_num(0.0).clamp(min=0.0)
        root_prob = torch.exp(-losses).nan_to_num(0.0).mean()
    else:
        accuracy = (outputs.argmax(1) == y).float().mean()
        root_prob = torch.exp(-losses / 4).nan_to_num(0.0).mean()
    return Evaluation(float(losses.mean()), float(bounded), float(accuracy), float(root_prob))

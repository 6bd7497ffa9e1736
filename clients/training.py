"""One participant's training and evaluation, in plain PyTorch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["evaluate_locally", "train_locally"]


def train_locally(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    lr: float,
    epochs: int,
    batch_size: int,
    generator: torch.Generator,
    proximal_mu: float = 0.0,
) -> float:
    """Train in place with SGD; the mean loss of the last epoch.

    Parameters
    ----------
    proximal_mu : float
        Weight of FedProx's pull to where the training began (Li et al. 2020).
    """
    anchor = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    model.train()
    mean_loss = 0.0
    for _ in range(epochs):
        batches = _batches(len(y), batch_size, generator)
        total = 0.0
        for batch in batches:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x[batch]), y[batch])
            if proximal_mu > 0:
                pairs = zip(model.parameters(), anchor, strict=True)
                pull = torch.stack([((p - a) ** 2).sum() for p, a in pairs]).sum()
                torch.autograd.backward(loss + proximal_mu / 2 * pull)
            else:
                torch.autograd.backward(loss)
            optimizer.step()
            total += float(loss.detach()) * len(batch)
        mean_loss = total / len(y)
    return mean_loss


def _batches(size: int, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """Shuffled batches; a last batch of one joins the one before (BatchNorm needs two)."""
    batches = list(torch.split(torch.randperm(size, generator=generator), batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        last = batches.pop()
        batches[-1] = torch.cat([batches[-1], last])
    return batches


@torch.no_grad()
def evaluate_locally(
    model: nn.Module, x: Tensor, y: Tensor, num_classes: int
) -> tuple[float, float, float]:
    """Mean loss, mean of min(loss, 2 ln C), and accuracy."""
    model.eval()
    outputs = torch.cat([model(piece) for piece in torch.split(x, 512)])
    losses = functional.cross_entropy(outputs, y, reduction="none")
    bound = 2 * math.log(num_classes)
    bounded = losses.nan_to_num(bound, bound, bound).clamp(max=bound).mean()
    accuracy = (outputs.argmax(1) == y).float().mean()
    return float(losses.mean()), float(bounded), float(accuracy)

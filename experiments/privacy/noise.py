"""Local differential privacy as measured here: Flower's own mod, and what its ε really is."""

from __future__ import annotations

import math

import torch
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from torch import Tensor

from clients.privacy import local_dp
from flower_relay.transport.adapter import identify_process

__all__ = ["exact_epsilon", "mu_of", "privately"]


def privately(base: Tensor, trained: Tensor, *, epsilon: float, clip: float) -> Tensor:
    """What Flower's mod makes of trained weights, with the ClientApp's settings."""
    mod = local_dp({"local-dp-epsilon": epsilon, "local-dp-clip": clip})
    if mod is None:
        return trained
    identify_process(1)
    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config={})
    message = Message(_content(base), dst_node_id=1, message_type="train")
    reply = mod(message, context, lambda m, _: Message(_content(trained), reply_to=m))
    return torch.from_numpy(reply.content.array_records["arrays"]["w"].numpy().copy())


def _content(weights: Tensor) -> RecordDict:
    return RecordDict({"arrays": ArrayRecord({"w": Array(weights.numpy().copy())})})


def mu_of(epsilon: float, delta: float = 1e-5, messages: int = 1) -> float:
    """Sensitivity over σ as Flower's formula sets it, after so many messages.

    Gaussian noise composes exactly: μ grows with the square root (Dong, Roth & Su 2022).
    """
    return math.sqrt(messages) * epsilon / math.sqrt(2 * math.log(1.25 / delta))


def exact_epsilon(mu: float, delta: float = 1e-5) -> float:
    """The ε that Gaussian noise of σ = sensitivity / μ gives at δ (Balle & Wang 2018, thm 8)."""
    low, high = 0.0, mu * mu / 2 + mu * 20 + 1
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _delta(mu, middle) > delta else (low, middle)
    return high


def _delta(mu: float, epsilon: float) -> float:
    """Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ)."""
    at = torch.tensor([mu / 2 - epsilon / mu, -mu / 2 - epsilon / mu], dtype=torch.float64)
    logs = torch.special.log_ndtr(at)
    return float(logs[0].exp() - (logs[1] + epsilon).exp())

"""A client's side of SCAFFOLD: its control variate, kept from one training to the next."""

from __future__ import annotations

from collections.abc import Callable

import torch
from flwr.app import ArrayRecord, Context

__all__ = ["Variates"]

_OWN = "control-variate"


class Variates:
    """The server's variate and the client's own, for one training.

    Parameters
    ----------
    context : flwr.app.Context
        Its state keeps the client's own variate.
    servers : ArrayRecord
        The server's; empty before anybody trained.

    Attributes
    ----------
    change : ArrayRecord
        How the client's own changed; what goes back to the server.
    """

    def __init__(self, context: Context, servers: ArrayRecord) -> None:
        self._context = context
        self._servers = servers.to_torch_state_dict() if servers else {}
        own = context.state.array_records.get(_OWN)
        self._own = {} if own is None else own.to_torch_state_dict()
        self.change = ArrayRecord()

    def around(
        self,
        train: Callable[..., float],
        model: torch.nn.Module,
        lr: float,
        steps: int,
    ) -> float:
        """Train with the correction, and renew the client's own variate by what came of it.

        own ← own − server's + (before − after) / (steps · lr)   (option II of the paper)
        """
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        nothing = {name: torch.zeros_like(p) for name, p in before.items()}
        servers, own = nothing | self._servers, nothing | self._own
        loss = train(drift={name: own[name] - servers[name] for name in before})
        reach = max(1, steps) * lr
        after = {name: p.detach() for name, p in model.named_parameters()}
        renewed = {
            name: own[name] - servers[name] + (before[name] - after[name]) / reach
            for name in before
        }
        self._context.state[_OWN] = ArrayRecord(renewed)
        self.change = ArrayRecord({name: renewed[name] - own[name] for name in before})
        return loss

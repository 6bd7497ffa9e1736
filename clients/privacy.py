"""Local differential privacy, where the run config asks for it: Flower's own mod around training.

The update is clipped to a Euclidean length C and every weight gets Gaussian noise before
anything leaves the node, so that successor, examiners and operator alike see only that. Two
updates of length C are up to 2 C apart, whatever data they come from, hence the sensitivity.
Flower's mod then takes σ = 2 C √(2 ln(1.25 / δ)) / ε: the classical bound, which is proven up
to ε = 1 and promises too much above (Balle & Wang 2018; `experiments.privacy.noise.exact_epsilon`
says how much). ε is that of one message; every further hop of the same participant adds to it.

The noise is drawn from the node's own entropy and not from the run's seed, which everybody
knows: such a run does not repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flwr.app import Context, Message

__all__ = ["local_dp", "private_if_asked"]

App = Callable[[Message, Context], Message]


def local_dp(config: Mapping[str, Any]) -> Callable[[Message, Context, App], Message] | None:
    """Flower's mod with the run config's `local-dp-…` settings; None where ε is 0."""
    epsilon = float(config.get("local-dp-epsilon", 0.0))
    if epsilon == 0:
        return None
    from flwr.clientapp.mod import LocalDpMod

    clip = float(config.get("local-dp-clip", 1.0))
    return LocalDpMod(clip, 2 * clip, epsilon, float(config.get("local-dp-delta", 1e-5)))


def private_if_asked(message: Message, context: Context, call_next: App) -> Message:
    """A mod for a ClientApp's train function; inside the relay's mod, which signs the result."""
    mod = local_dp(context.run_config)
    return call_next(message, context) if mod is None else mod(message, context, call_next)

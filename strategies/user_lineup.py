"""Who can be played on a user's own app: relays, Flower's own strategies, daisy chaining.

SCAFFOLD is not among them: it needs a ClientApp that corrects each of its steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from flwr.serverapp.strategy import (
    FedAdam,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedProx,
    FedTrimmedAvg,
    MultiKrum,
    Strategy,
)

from flower_relay import RelaySettings, RelayStrategy
from flower_relay.comparison.ladders import ladders_of
from flower_relay.errors import ConfigurationError
from strategies.arming import armed
from strategies.rivals import DaisyChain

__all__ = ["averaging", "check_settings", "is_relay", "relay", "strategy_of", "tuned_of"]

_RELAYS: dict[str, dict[str, Any]] = {
    "relay": {},
    "relay-untested": {"examiners": 0},
    "cyclic": {"examiners": 0, "lanes": 1, "max-leg": 1, "trail": 0.0},
}

_AVERAGING: dict[str, tuple[Callable[..., Strategy], dict[str, str]]] = {
    "fedavg": (FedAvg, {}),
    "fedprox": (FedProx, {"proximal_mu": "proximal-mu"}),
    "fedavgm": (
        FedAvgM,
        {"server_learning_rate": "server-learning-rate", "server_momentum": "server-momentum"},
    ),
    "fedadam": (FedAdam, {"eta": "eta", "beta_1": "server-momentum"}),
    "daisychain": (DaisyChain, {"average_every": "average-every"}),
    "fedmedian": (FedMedian, {}),
    "fedtrimmedavg": (FedTrimmedAvg, {"beta": "trim"}),
    "multikrum": (
        MultiKrum,
        {
            "num_malicious_nodes": "num-malicious-nodes",
            "num_nodes_to_select": "num-nodes-to-select",
        },
    ),
}
"""What each takes beside the share of clients, and the setting that it is."""

_USUAL: dict[str, Any] = {
    "fraction-train": 0.5, "proximal-mu": 0.01, "server-learning-rate": 1.0,
    "server-momentum": 0.9, "eta": 0.1, "average-every": 10, "trim": 0.2,
}  # fmt: skip


def strategy_of(cell: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A strategy's name, and the settings of its own that are written behind it.

    Raises
    ------
    ConfigurationError
        When it cannot be played on an app of the user's.
    """
    name, _, text = str(cell["strategy"]).partition(":")
    if name not in (*_RELAYS, *_AVERAGING):
        why = " SCAFFOLD needs a ClientApp that corrects its own steps." * (name == "scaffold")
        raise ConfigurationError(
            f"strategy = {name!r}: expected one of {', '.join((*_RELAYS, *_AVERAGING))} for an "
            f"app of your own.{why}"
        )
    own: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        try:
            own[key] = json.loads(value)
        except ValueError:
            own[key] = value
    return name, own


def is_relay(name: str) -> bool:
    """Whether a strategy of the line-up hands models on."""
    return name in _RELAYS


def tuned_of(name: str) -> set[str]:
    """Settings that tuning may choose for a strategy."""
    return {"learning-rate", "fraction-train", *ladders_of(name)}


def check_settings(name: str, own: Mapping[str, Any]) -> None:
    """See that a relay has the settings that are written behind it."""
    if name in _RELAYS:
        RelaySettings.from_mapping(_RELAYS[name] | dict(own))


def relay(name: str, options: Mapping[str, Any], own: Mapping[str, Any]) -> RelayStrategy:
    """A relay of the line-up with these options; what is written behind its name counts."""
    asked = {**options, **_RELAYS[name], **own}
    return RelayStrategy(RelaySettings.from_mapping(asked), observers=())


def averaging(
    name: str, cell: Mapping[str, Any], given: Mapping[str, Any], keys: Mapping[str, str]
) -> tuple[Strategy, int]:
    """One of Flower's strategies, or daisy chaining, and how many clients it trains at once.

    Parameters
    ----------
    given : mapping
        The cell's settings, and those that are written behind the name.
    keys : mapping
        Names of the records in its messages.
    """
    nodes, settings = int(cell["nodes"]), _USUAL | dict(given)
    settings = armed(name, cell, settings) | settings
    kind, takes = _AVERAGING[name]
    strategy = kind(
        fraction_train=float(settings["fraction-train"]),
        fraction_evaluate=0.0,
        min_available_nodes=min(2, nodes),
        **keys,
        **{argument: settings[key] for argument, key in takes.items()},
    )
    return strategy, max(2, int(nodes * float(settings["fraction-train"])))

"""A comparison on a user's own Flower app: what `--app` stands for among the command's options."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError

__all__ = ["code_of", "of_app"]

_PLAYER = "strategies.user_contest:play"

_USUAL: dict[str, Any] = {
    "strategy": ["relay", "relay-untested", "fedavg", "fedavgm", "fedadam"],
    "nodes": 10,
    "budget": 100,
    "tuning_seeds": 1,
}
"""What an app is compared with unless asked otherwise: minutes for a small model."""

_ITS_OWN = {"data": "data", "partition": "partition"}
"""Options that an app answers itself, and what they are about."""

_NAMED = {"initial": "app-initial", "rate_key": "app-rate-key", "metric": "app-metric"}
"""Options that go to who plays the cells, as settings of theirs."""


def of_app(asked: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """The command's options for an app: its folder in the place of data, and usual values.

    Parameters
    ----------
    asked : mapping
        All options by their parameters' names.
    given : collection of str
        Those that the user gave.

    Raises
    ------
    ConfigurationError
        When an option is given that belongs to the other kind of comparison.
    """
    if not asked["app"]:
        if wrong := [name for name in _NAMED if asked[name]]:
            raise ConfigurationError(
                f"{wrong[0].replace('_', '-')} = {asked[wrong[0]]!r}: it says something of an app "
                "of your own; give its folder, too: --app PATH."
            )
        return dict(asked)
    for name, about in _ITS_OWN.items():
        if name in given:
            raise ConfigurationError(
                f"{name} with app: expected one of the two. An app loads its own data, so that "
                f"{about} are not the comparison's to choose."
            )
    settings = {setting: asked[name] for name, setting in _NAMED.items() if asked[name]}
    return {
        **asked,
        **{name: value for name, value in _USUAL.items() if name not in given},
        "attack": asked["attack"] if "attack" in given else ["none"],
        "data": [str(Path(str(asked["app"])).expanduser().resolve())],
        "partition": ["own"],
        "player": asked["player"] if "player" in given else _PLAYER,
        "app_settings": settings,
    }


def code_of(asked: Mapping[str, Any]) -> dict[str, str]:
    """For the plan: the app's folder and a hash of its code; nothing where there is no app."""
    if not asked["app"]:
        return {}
    [folder] = asked["data"]
    module = importlib.import_module(str(asked["player"]).partition(":")[0])
    return {"app": folder, "app_code": str(module.fingerprint(Path(folder)))}

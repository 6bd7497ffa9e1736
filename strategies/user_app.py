"""A user's own Flower app, opened for a comparison: its ClientApp, its config, how it begins.

Flower has no standard place for initial arrays: a ServerApp makes them and hands them to a
strategy. So the ServerApp is called as Flower calls it, and what it hands to `start` is taken
there, before anything is sent: arrays, the configs of its messages, its central evaluation.
"""

from __future__ import annotations

import hashlib
import importlib
import random
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.common.config import flatten_dict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Strategy

from flower_relay.errors import ConfigurationError
from flower_relay.transport.proxies import PassingGrid

__all__ = ["Beginning", "UserApp", "fingerprint", "rate_key"]

RATE_KEYS = (
    "learning-rate", "lr", "learning_rate", "client-learning-rate", "local-learning-rate",
    "client-lr", "local-lr",
)  # fmt: skip
"""Run-config keys that are taken for the clients' learning rate."""

_RECORD_KEYS = ("arrayrecord_key", "configrecord_key", "weighted_by_key")
_QUIET = {"runs-dir": "", "track": ""}
"""Keys of `flower-relay new` that would have each beginning leave a run's folder behind."""


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What a ServerApp hands to its strategy.

    Attributes
    ----------
    keys : dict
        The names of its strategy's records, where they can be told: what its ClientApp expects.
    evaluate_fn : callable, optional
        Its own test of a model on the server.
    """

    arrays: ArrayRecord
    train_config: ConfigRecord
    evaluate_config: ConfigRecord
    keys: Mapping[str, str]
    evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None


class _Watch(PassingGrid):
    """Takes the first message, where a strategy was made that `_taken_at_start` did not see."""

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Take the beginning from the first message instead of sending it."""
        raise _Begun(_begun_by(next(iter(messages))))

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Take the beginning from the first message instead of sending it."""
        raise _Begun(_begun_by(next(iter(messages))))


def _begun_by(message: Message) -> Beginning:
    found: dict[str, Any] = {}
    for key, record in message.content.items():
        if isinstance(record, ArrayRecord):
            found |= {"arrays": record, "arrayrecord_key": key}
        elif isinstance(record, ConfigRecord):
            found |= {"config": record, "configrecord_key": key}
    config = found.pop("config", ConfigRecord())
    return Beginning(
        arrays=found.pop("arrays"), train_config=config, evaluate_config=config, keys=found
    )


class _Begun(BaseException):
    """Ends a ServerApp where it starts its strategy; no `except Exception` stops it."""

    def __init__(self, beginning: Beginning) -> None:
        super().__init__()
        self.beginning = beginning


@dataclass(frozen=True, kw_only=True)
class UserApp:
    """A Flower app in a folder.

    Attributes
    ----------
    config : dict
        Its run config, as `[tool.flwr.app.config]` has it; nested keys joined by dots.
    """

    folder: Path
    client: ClientApp
    server_name: str
    config: Mapping[str, Any]

    @classmethod
    def at(cls, folder: Path) -> UserApp:
        """Open the app in a folder.

        Raises
        ------
        ConfigurationError
            When there is none, or its ClientApp cannot be had.
        """
        app = _section(folder)
        components = app.get("components")
        components = components if isinstance(components, dict) else {}
        client = _component(folder, components, "clientapp")
        if not isinstance(client, ClientApp):
            raise ConfigurationError(
                f"app = {str(folder)!r}: clientapp = {components['clientapp']!r}: expected a "
                f"flwr.clientapp.ClientApp, found {type(client).__name__}."
            )
        try:
            config = flatten_dict(app.get("config") or {})
        except ValueError as problem:
            raise ConfigurationError(
                f"app = {str(folder)!r}: [tool.flwr.app.config]: {problem}"
            ) from problem
        server = str(components.get("serverapp", ""))
        return cls(folder=folder, client=client, server_name=server, config=config)

    def begin(self, config: Mapping[str, Any], grid: Grid, seed: int, initial: str) -> Beginning:
        """Its initial arrays and what else it hands to a strategy.

        Parameters
        ----------
        initial : str
            `module:function` that returns the arrays; empty to have the ServerApp make them.
        """
        if initial:
            made = _component(self.folder, {"initial": initial}, "initial")
            _seed(seed)
            return _given(made, initial)
        server = _component(self.folder, {"serverapp": self.server_name}, "serverapp")
        _seed(seed)
        if not isinstance(server, ServerApp):
            raise _no_beginning(self.folder, f"its serverapp is a {type(server).__name__}")
        return _beginning_of(self.folder, server, config, grid)


def rate_key(config: Mapping[str, Any], asked: str = "") -> str | None:
    """The run-config key that holds the clients' learning rate; None where none can be told.

    Raises
    ------
    ConfigurationError
        When a key is named that there is not, or whose value is no number above 0.
    """
    if asked and asked not in config:
        raise ConfigurationError(
            f"rate-key = {asked!r}: expected a key of the app's run config, one of "
            f"{', '.join(sorted(config)) or 'none: it has no keys'}."
        )
    for key in (asked,) if asked else RATE_KEYS:
        value = config.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return key
    if asked:
        raise ConfigurationError(
            f"rate-key = {asked!r}: expected a number above 0 there, found {config[asked]!r}."
        )
    return None


def fingerprint(folder: Path) -> str:
    """A hash of the app's code and config: finished cells are of one state of them."""
    found = hashlib.sha256()
    for path in [*sorted(folder.rglob("*.py")), folder / "pyproject.toml"]:
        inside = path.relative_to(folder)
        if not any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
            found.update(str(inside).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def _section(folder: Path) -> dict[str, Any]:
    """The `[tool.flwr.app]` of its pyproject.toml."""
    path = folder / "pyproject.toml"
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ConfigurationError(
            f"app = {str(folder)!r}: expected a Flower app's folder, with a pyproject.toml: "
            f"{problem}. `flwr new` and `flower-relay new` write one."
        ) from problem
    try:
        return dict(found["tool"]["flwr"]["app"])
    except (KeyError, TypeError, ValueError):
        raise ConfigurationError(
            f"app = {str(folder)!r}: expected a section [tool.flwr.app] in its pyproject.toml, "
            "found none: this is no Flower app."
        ) from None


def _component(folder: Path, components: Mapping[str, Any], what: str) -> Any:
    """The object that a component's `module:name` stands for."""
    named = components.get(what)
    if not named:
        raise ConfigurationError(
            f'app = {str(folder)!r}: expected {what} = "module:name" in its '
            "[tool.flwr.app.components], found none."
        )
    module, _, name = str(named).partition(":")
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as problem:  # whatever the user's module raises while it is imported
        raise ConfigurationError(
            f"app = {str(folder)!r}: {what} = {named!r} cannot be imported: "
            f"{type(problem).__name__}: {problem}. Install what the app needs (`pip install -e "
            f"{folder}`), and see that `python -c 'import {module}'` works in its folder."
        ) from problem


def _beginning_of(
    folder: Path, server: ServerApp, config: Mapping[str, Any], grid: Grid
) -> Beginning:
    """Call a ServerApp until it starts its strategy."""
    with tempfile.TemporaryDirectory(prefix="relay-app-") as scratch:
        quiet = {k: scratch if k == "runs-dir" else v for k, v in _QUIET.items() if k in config}
        context = Context(1, 0, {}, RecordDict(), {**config, **quiet})
        try:
            # What it says of this call is about a folder that is gone in a moment.
            with _taken_at_start(), redirect_stdout(StringIO()):
                server(_Watch(grid), context)
        except _Begun as begun:
            return begun.beginning
        except Exception as problem:  # whatever the user's ServerApp raises
            raise _no_beginning(folder, f"it raised {type(problem).__name__}: {problem}") from None
    raise _no_beginning(folder, "it ended without starting a strategy")


def _no_beginning(folder: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"app = {str(folder)!r}: expected its ServerApp to call `strategy.start(...)` with its "
        f"initial arrays, but {why}. Name a function that returns them: --initial "
        "module:function."
    )


@contextmanager
def _taken_at_start() -> Iterator[None]:
    """Take what any strategy is started with, a user's own strategy included."""
    kinds = [kind for kind in (Strategy, *_kinds_of(Strategy)) if "start" in vars(kind)]
    own = {kind: vars(kind)["start"] for kind in kinds}
    try:
        for kind in own:
            kind.start = _take  # type: ignore[attr-defined]
        yield
    finally:
        for kind, start in own.items():
            kind.start = start  # type: ignore[attr-defined]


def _kinds_of(kind: type) -> list[type]:
    return [found for each in kind.__subclasses__() for found in (each, *_kinds_of(each))]


def _take(
    strategy: Strategy,
    grid: Grid,
    initial_arrays: ArrayRecord,
    num_rounds: int = 3,
    timeout: float = 3600,
    train_config: ConfigRecord | None = None,
    evaluate_config: ConfigRecord | None = None,
    evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    **others: Any,
) -> None:
    """Stands for `Strategy.start`, with its own arguments."""
    keys = {key: getattr(strategy, key, None) for key in _RECORD_KEYS}
    raise _Begun(
        Beginning(
            arrays=initial_arrays,
            train_config=train_config or ConfigRecord(),
            evaluate_config=evaluate_config or ConfigRecord(),
            keys={key: name for key, name in keys.items() if isinstance(name, str)},
            evaluate_fn=evaluate_fn,
        )
    )


def _given(made: Callable[[], Any], initial: str) -> Beginning:
    """The arrays that a function of the user's returns."""
    try:
        arrays = as_record(made())
    except Exception as problem:  # whatever the user's function raises
        raise ConfigurationError(
            f"initial = {initial!r}: expected a function without arguments that returns an "
            f"ArrayRecord, a state dict, or a list of arrays: {type(problem).__name__}: {problem}"
        ) from problem
    return Beginning(
        arrays=arrays, train_config=ConfigRecord(), evaluate_config=ConfigRecord(), keys={}
    )


def as_record(made: Any) -> ArrayRecord:
    """Arrays in any of the forms in which Flower takes them."""
    if isinstance(made, ArrayRecord):
        return made
    if isinstance(made, list | tuple):
        return ArrayRecord([np.asarray(each) for each in made])
    values = dict(made)
    if all(isinstance(each, np.ndarray) for each in values.values()):
        return ArrayRecord({name: Array(each) for name, each in values.items()})
    return ArrayRecord(values)


def _seed(seed: int) -> None:
    """Seed what an app's first model is usually drawn with."""
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)

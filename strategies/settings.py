"""The run config, read and checked before the first message is sent."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.data import DATASETS, is_world
from clients.hostile import parse_behaviour
from clients.models import MODELS
from clients.partition import parse_scheme
from flower_relay.errors import ConfigurationError
from flower_relay.settings import RelaySettings

__all__ = ["RELAYS", "RELAY_KEYS", "STRATEGY_NAMES", "RunSettings", "parse", "refuse_sybils"]

RELAY_KEYS = (
    "topology", "lanes", "lanes-meet", "max-leg", "trail", "examiners", "tolerance", "audit",
    "nonces", "test-encoding", "hop-encoding", "rewards", "recognised-share",
)  # fmt: skip
"""Run-config keys that are settings of the relay, with the same names and defaults."""

RELAYS = ("relay", "relay-untested", "relay-fanout", "cyclic")
"""Strategies that are relays, and so keep a ledger."""

STRATEGY_NAMES = (
    "relay", "relay-untested", "relay-fanout", "cyclic", "fedavg", "fedprox", "fedavgm", "fedadam",
    "scaffold", "daisychain", "fedmedian", "fedtrimmedavg", "multikrum",
)  # fmt: skip


_TEXTS = (
    "strategy", "data", "partition", "model", "hostile", "relay-keys-dir", "runs-dir", "run-name",
    "track", "resume",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """One run as asked for: what is not the relay's own."""

    strategy: str
    rounds: int
    budget: int
    timeout: float
    learning_rate: float
    local_epochs: int
    evaluate_every: int
    runs_dir: Path
    run_name: str
    keys_dir: Path | None
    resume: str
    relay: RelaySettings
    config: Mapping[str, Any]


def parse(config: Mapping[str, Any]) -> RunSettings:
    """Read the run config.

    Raises
    ------
    ConfigurationError
        On an unknown name or an impossible value, saying what there is.
    """
    for key in _TEXTS:
        _text(config, key)
    strategy = str(config["strategy"])
    if strategy not in STRATEGY_NAMES:
        raise ConfigurationError(
            f"strategy = {strategy!r}: expected one of {', '.join(STRATEGY_NAMES)}."
        )
    _check_clients(config)
    _check_numbers(config)
    budget = int(config["budget"])
    options = {key: config[key] for key in RELAY_KEYS}
    if strategy in RELAYS:  # others may train everybody at once
        options["fraction-train"] = config["fraction-train"]
    relay = RelaySettings.from_mapping(
        {
            **options,
            "min-available-nodes": config["min-available-nodes"],
            "seed": config["seed"],
            "budget": budget or None,
            "utility-key": "eval_root_prob",
            "utility-rises": True,
        }
    )
    return RunSettings(
        strategy=strategy,
        rounds=int(config["rounds"]),
        budget=budget,
        timeout=float(config["timeout"]),
        learning_rate=float(config["learning-rate"]),
        local_epochs=int(config["local-epochs"]),
        evaluate_every=int(config["evaluate-every"]),
        runs_dir=Path(str(config["runs-dir"]) or "runs").absolute(),
        run_name=str(config["run-name"]),
        keys_dir=Path(str(config["relay-keys-dir"])) if config["relay-keys-dir"] else None,
        resume=str(config["resume"]),
        relay=relay,
        config=dict(config),
    )


def refuse_sybils(config: Mapping[str, Any]) -> None:
    """Refuse a behaviour that only a grid in memory can show.

    Raises
    ------
    ConfigurationError
        When the config names it.
    """
    if parse_behaviour(str(config["hostile"])).parts & {"sybil", "crowd"}:
        raise ConfigurationError(
            f"hostile = {config['hostile']!r}: a sybil reconnects as another node and a crowd "
            "brings more, which a ClientApp under Flower cannot do; leave it out, or use "
            "clients.sybils in memory."
        )


def _check_clients(config: Mapping[str, Any]) -> None:
    """Names that the ClientApp would only stumble over in the first round."""
    if config["model"] not in ("", *MODELS):
        raise ConfigurationError(
            f"model = {config['model']!r}: expected one of {', '.join(MODELS)}, or nothing for "
            "the one that suits the data."
        )
    if config["local-dp-epsilon"] and config["model"] == "resnet18":
        raise ConfigurationError(
            "local-dp-epsilon with model = 'resnet18': Flower's mod cannot add noise to the "
            "whole numbers that BatchNorm counts; take resnet18-gn."
        )
    data = str(config["data"])
    if not is_world(data) and not os.path.exists(os.path.expanduser(data)):  # of any text
        raise ConfigurationError(
            f"data = {data!r}: expected one of {', '.join(DATASETS)}, alone or as NAME:CASES, or "
            "the path of an .npz file or of a folder of class folders."
        )
    parse_scheme(str(config["partition"]))
    parse_behaviour(str(config["hostile"]))
    if bool(config["hostile"]) != (config["hostile-share"] != 0):
        raise ConfigurationError(
            f"hostile = {config['hostile']!r} with hostile-share = {config['hostile-share']!r}: "
            "nobody would misbehave; give both, or neither."
        )
    name = str(config["run-name"])
    if Path(name).name != name or name == "..":
        raise ConfigurationError(f"run-name = {name!r}: expected a folder's name, not a path.")


def _check_numbers(config: Mapping[str, Any]) -> None:
    """Values that Flower's strategies would only refuse after Ray has started."""
    for key in (
        "rounds", "local-epochs", "batch-size", "evaluate-every", "min-available-nodes",
        "num-nodes-to-select", "average-every",
    ):  # fmt: skip
        _at_least(config, key, 1)
    for key in ("budget", "seed", "local-steps", "num-malicious-nodes"):
        _at_least(config, key, 0)
    for key in ("learning-rate", "timeout", "server-learning-rate", "eta", "local-dp-clip"):
        _above_zero(config, key)
    for key in ("fraction-train", "fraction-evaluate", "hostile-share", "server-momentum"):
        _number(config, key, "a number from 0 to 1", lambda v: 0 <= v <= 1)
    _number(config, "trim", "a number from 0 to below 0.5", lambda v: 0 <= v < 0.5)
    for key in ("proximal-mu", "local-dp-epsilon", "weight-decay", "clip"):
        _number(config, key, "a number, at least 0", lambda v: v >= 0)
    _number(config, "local-dp-delta", "a number between 0 and 1", lambda v: 0 < v < 1)


def _text(config: Mapping[str, Any], key: str) -> None:
    value = config[key]
    if not isinstance(value, str) or not (value.isprintable() or value == ""):
        raise ConfigurationError(
            f"{key} = {value!r}: expected a text in quotes, without control characters."
        )


def _at_least(config: Mapping[str, Any], key: str, least: int) -> None:
    value = config[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{key} = {value!r}: expected a whole number, at least {least}.")


def _above_zero(config: Mapping[str, Any], key: str) -> None:
    _number(config, key, "a number above 0", lambda v: v > 0)


def _number(
    config: Mapping[str, Any], key: str, expected: str, possible: Callable[[float], bool]
) -> None:
    value = config[key]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not possible(value):
        raise ConfigurationError(f"{key} = {value!r}: expected {expected}.")

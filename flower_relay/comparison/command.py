"""The command that plays a plan, with every option in it; and a plan from a TOML file."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError

__all__ = ["commands_of", "read_config"]

_REPEATED = {
    "strategies": "--strategy", "data": "--data", "partitions": "--partition",
    "attacks": "--attack", "shares": "--share",
}  # fmt: skip
"""Options that are given once for each value of a plan."""

_OF_APP = ("data", "partitions")
"""What an app of the user's brings itself."""

_HOSTILE = ("attacks", "shares")
"""What is not said of an app of the user's where nobody is hostile, as is usual there."""

_ONCE = ("nodes", "budget", "engine", "fleet", "target", "tuning_seeds", "player", "app")


def commands_of(plan: Mapping[str, Any]) -> list[str]:
    """The commands that play a plan: one for each stretch of its seeds."""
    return [_command(plan, seeds) for seeds in _stretches(plan.get("seeds") or [0])]


def _stretches(seeds: list[int]) -> list[range]:
    """Seeds as ranges without gaps."""
    found: list[range] = []
    for seed in sorted(seeds):
        if found and seed == found[-1].stop:
            found[-1] = range(found[-1].start, seed + 1)
        else:
            found.append(range(seed, seed + 1))
    return found


def _command(plan: Mapping[str, Any], seeds: range) -> str:
    words = ["flower-relay", "compare", "run"]
    own = plan.get("app")
    for key, option in _REPEATED.items():
        usual = key in _OF_APP or (key in _HOSTILE and not any(plan.get("attacks") or ()))
        for value in () if own and usual else plan.get(key) or ():
            words += [option, str(value or "none")]
    words += ["--first-seed", str(seeds.start), "--seeds", str(len(seeds))]
    for key in _ONCE:
        if plan.get(key) not in (None, "") and not (own and key == "player"):
            words += [f"--{key.replace('_', '-')}", str(plan[key])]
    if "tune" in plan:
        words.append("--tune" if plan["tune"] else "--no-tune")
    for key, value in (plan.get("settings") or {}).items():
        words += ["--set", f"{key}={_spelled(value)}"]
    return shlex.join(words)


def _spelled(value: Any) -> str:
    """A value that `--set` reads back as it was; a text that reads as a number is quoted."""
    try:
        plain = isinstance(value, str) and json.loads(value) is None
    except ValueError:
        plain = True
    return str(value) if plain and value != "null" else json.dumps(value)


def read_config(path: Path, known: Mapping[str, type]) -> dict[str, Any]:
    """A comparison as a TOML file has it: options by name, with lists for the repeated ones.

    Parameters
    ----------
    known : mapping of option to type
        What may be in it.

    Raises
    ------
    ConfigurationError
        When it cannot be read, has an option that there is not, or one of another type.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ConfigurationError(f"config {str(path)!r} cannot be read: {problem}.") from problem
    for key, value in found.items():
        if key not in known:
            raise ConfigurationError(
                f"config {str(path)!r}: {key!r} is no option; expected some of "
                f"{', '.join(sorted(known))}."
            )
        kind = known[key]
        right = isinstance(value, int | float) if kind is float else isinstance(value, kind)
        if not right or (isinstance(value, bool) and kind is not bool):
            raise ConfigurationError(
                f"config {str(path)!r}: {key} = {value!r}: expected {_NAMED[kind]}."
            )
    for key, value in found.get("set", {}).items():
        if not isinstance(value, str | int | float):
            raise ConfigurationError(
                f"config {str(path)!r}: set {key} = {value!r}: expected a text, a number, true or "
                "false."
            )
    return found


_NAMED: dict[type, str] = {
    str: "a text", int: "a whole number", float: "a number", bool: "true or false",
    list: "a list", dict: "a table",
}  # fmt: skip

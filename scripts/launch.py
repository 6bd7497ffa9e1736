"""What the scripts that start Flower look at before they do, and say when they are stopped.

Flower itself drops what it cannot read of a run config, and refuses an unknown key or an
impossible value only once processes were started, with a traceback in a log.
"""

from __future__ import annotations

import argparse
import difflib
import re
import shlex
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click import ClickException
from flwr.common.config import flatten_dict, parse_config_args

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from flower_relay.destinations import check_folder  # noqa: E402
from flower_relay.errors import ConfigurationError  # noqa: E402
from strategies.config_file import CLIENT_KEYS, MAY_CHANGE, find_folder, resumed_config  # noqa: E402
from strategies.settings import RELAYS, RunSettings, parse, refuse_sybils  # noqa: E402

__all__ = ["Launch", "how_to_go_on", "number_of_nodes", "prepare"]

_WORD = re.compile(r"""\S+?=(?:'[^']*'|"[^"]*"|\S+)""")
"""One KEY=VALUE, as Flower finds them in a run config; what is between them it drops."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One run that may start: what `flwr run` is given, and where its files will be."""

    given: Mapping[str, Any]
    folder: Path
    strategy: str
    config: str

    @property
    def again(self) -> str | None:
        """The run config that goes on with it; None where there is nothing to go on with."""
        if self.strategy not in RELAYS or not (self.folder / "config.json").is_file():
            return None
        kept = {key: self.given[key] for key in (*CLIENT_KEYS, *MAY_CHANGE) if key in self.given}
        return _written({"resume": self.folder.name} | kept)


def number_of_nodes(text: str) -> int:
    """A number of nodes, for `argparse`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, at least 1")
    return int(text)


def prepare(config: str, runs_dir: Path, **usual: Any) -> Launch:
    """Check a run config as the run itself will, and make the folder that its files go to.

    Parameters
    ----------
    config : str
        As for `flwr run --run-config`.
    runs_dir : pathlib.Path
        Where files go, unless the config says so itself.
    **usual
        Further keys that hold unless the config has them.

    Raises
    ------
    ConfigurationError
        Naming the key, what was expected and what was found.
    """
    given, defaults = _read(config), _defaults()
    if unknown := sorted(given.keys() - defaults.keys()):
        raise ConfigurationError(_unknown(unknown[0], defaults))
    asked = {"runs-dir": str(runs_dir)} | {k.replace("_", "-"): v for k, v in usual.items()} | given
    if asked.get("resume"):
        asked.pop("run-name", None)
    _written(asked)
    whole = defaults | asked
    run = parse(whole)
    refuse_sybils(whole)
    check_folder(run.runs_dir, "runs-dir")
    asked["runs-dir"] = str(run.runs_dir)
    if run.resume:
        folder = find_folder(run.runs_dir, run.resume)
        run = parse(resumed_config(folder, whole, asked))
    else:
        folder = _new_folder(run)
        asked["run-name"] = folder.name
    return Launch(given=given, folder=folder, strategy=run.strategy, config=_written(asked))


def _new_folder(run: RunSettings) -> Path:
    """Where a new run's files will be; named here, so that it is known when it is stopped."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    folder = run.runs_dir / (run.run_name or f"{stamp}-{run.strategy}")
    if folder.exists():
        raise ConfigurationError(
            f"run-name = {folder.name!r}: {folder} is there already. Choose another name, or go on "
            f'with that run by resume="{folder.name}".'
        )
    return folder


def how_to_go_on(launch: Launch, command: list[str], config: str, rest: list[str]) -> str:
    """What somebody is told who stopped a run.

    Parameters
    ----------
    command : list of str
        The script and its options.
    config : str
        The run's own, as it was given.
    rest : list of str
        Run configs that were not started.
    """
    if (again := launch.again) is not None:
        line = shlex.join([*command, again, *rest])
        return f"Stopped. To go on from the last block in {launch.folder}: {line}"
    line = shlex.join([*command, config, *rest])
    in_the_way = "run-name" in launch.given and launch.folder.exists()
    first = f", once {launch.folder} is removed" if in_the_way else ""
    return f"Stopped; there is no ledger to go on from. To begin anew{first}: {line}"


def _defaults() -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(flatten_dict(project["tool"]["flwr"]["app"]["config"]))


def _read(config: str) -> dict[str, Any]:
    """A run config's keys and values, nothing of it dropped."""
    if left := _WORD.sub(" ", config).split():
        raise ConfigurationError(
            f"run config {config!r}: expected KEY=VALUE and spaces between, found {left[0]!r}. "
            'A text is written in quotes, as in partition="iid", and holds none of its own.'
        )
    try:
        # The space keeps Flower from opening what ends in .toml.
        return dict(parse_config_args([f"{config} "]))
    except (ClickException, ValueError) as problem:
        words = problem.message if isinstance(problem, ClickException) else str(problem)
        raise ConfigurationError(
            f"run config {config!r}: expected each key once, with a number, true, false or a text "
            f"in quotes; found something else. Flower says: {words}"
        ) from None


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"run config: there is no key {key!r}.{meant} There are: {', '.join(sorted(known))}."


def _written(config: Mapping[str, Any]) -> str:
    """Keys and values as Flower reads them."""
    return " ".join(f"{key}={_value(key, value)}" for key, value in config.items())


def _value(key: str, value: Any) -> str:
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else repr(value)
    if '"' in value or not value.isprintable():
        raise ConfigurationError(
            f"{key} = {value!r}: expected a text without double quotes and control characters, "
            "which Flower's run config cannot carry. Take another, or rename that folder."
        )
    escaped = value.replace("\\", "\\\\")
    return f'"{escaped}"'

"""The run config in a run's folder: written for a new run, read again for one that is resumed.

`config.json` is the run config that the run began with. A run goes on under that config,
whatever the defaults are by then. What else is in the folder: `flower_relay.run_folder`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flower_relay.destinations import check_folder
from flower_relay.errors import ConfigurationError
from flower_relay.files.durable import write_whole
from strategies.settings import RELAYS, RunSettings

__all__ = ["CLIENT_KEYS", "MAY_CHANGE", "find_folder", "new_folder", "resumed_config"]

MAY_CHANGE = (
    "rounds", "timeout", "evaluate-every", "min-available-nodes", "runs-dir", "track", "resume",
)  # fmt: skip
"""Keys that a run may be resumed with, whatever they were."""

CLIENT_KEYS = (
    "data", "partition", "model", "seed", "batch-size", "hostile", "hostile-share", "tolerance",
    "relay-keys-dir",
)  # fmt: skip
"""Keys that the ClientApps read from the run config themselves, where nobody but the user
can set them."""

_CONFIG = "config.json"
_MOST_SHOWN = 10


def new_folder(run: RunSettings) -> Path:
    """Make the folder of a new run and put its config there.

    Raises
    ------
    ConfigurationError
        When it is there already.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    folder = run.runs_dir / (run.run_name or f"{stamp}-{run.strategy}")
    check_folder(run.runs_dir, "runs-dir")
    try:
        folder.mkdir()
    except FileExistsError:
        raise ConfigurationError(
            f"run-name = {run.run_name!r}: {folder} is there already; choose another name, "
            f"leave it empty for one of its own, or go on with that run by "
            f'resume="{run.run_name}".'
        ) from None
    except OSError as problem:
        raise ConfigurationError(
            f"run-name = {run.run_name!r}: {folder} cannot be made: {problem.strerror}."
        ) from None
    write_whole(folder / _CONFIG, json.dumps(dict(run.config), indent=1).encode())
    return folder


def find_folder(runs_dir: Path, name: str) -> Path:
    """The folder of a run that is to be resumed: its name below `runs_dir`, or its whole path.

    Raises
    ------
    ConfigurationError
        When there is no such run, with the newest that there are.
    """
    folder = runs_dir / name
    if (folder / _CONFIG).is_file():
        return folder
    found = sorted(runs_dir.glob(f"*/{_CONFIG}"), key=lambda path: -path.stat().st_mtime)
    runs = ", ".join(path.parent.name for path in found[:_MOST_SHOWN]) or "none"
    raise ConfigurationError(
        f"resume = {name!r}: expected the name of a run in {runs_dir} (runs-dir), or the whole "
        f"path of its folder, with a {_CONFIG} in it. Runs there, newest first: {runs}."
    )


def resumed_config(
    folder: Path, config: Mapping[str, Any], given: Collection[str]
) -> dict[str, Any]:
    """The run config that a run goes on under.

    Parameters
    ----------
    folder : pathlib.Path
        The run's.
    config : mapping
        The run config now, defaults included.
    given : collection of str
        The keys that were given, not left at their defaults.

    Raises
    ------
    ConfigurationError
        When keys contradict the run's config, or it was no relay.
    """
    saved = _saved(folder / _CONFIG)
    if saved["strategy"] not in RELAYS:
        raise ConfigurationError(
            f"resume = {config['resume']!r}: that run's strategy is {saved['strategy']!r}, and "
            f"only relays keep a ledger to go on from ({', '.join(RELAYS)}); begin it anew."
        )
    kept = {key: value for key, value in saved.items() if key not in MAY_CHANGE}
    wrong = [
        key
        for key, value in kept.items()
        if (key in given or key in CLIENT_KEYS) and config.get(key) != value
    ]
    if wrong:
        raise ConfigurationError(_contradiction(config, given, kept, wrong))
    changed = {key: config[key] for key in MAY_CHANGE if key in given}
    whole = {**config, **saved, **changed}
    return whole | {"runs-dir": config["runs-dir"], "resume": config["resume"]}


def _saved(path: Path) -> dict[str, Any]:
    """The run config in a run's folder."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise _unreadable(path, str(problem)) from None
    if not isinstance(saved, dict) or not isinstance(saved.get("strategy"), str):
        raise _unreadable(path, "there is no strategy in it")
    return saved


def _unreadable(path: Path, found: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path}: expected the run config that a run began with, as JSON, found: {found}. "
        "Nothing was changed; put the file back, or begin a new run."
    )


def _contradiction(
    config: Mapping[str, Any],
    given: Collection[str],
    kept: Mapping[str, Any],
    wrong: Collection[str],
) -> str:
    listed = ", ".join(f"{key} = {kept[key]!r} in the run and {config.get(key)!r} now"
                       for key in wrong)  # fmt: skip
    again = {"resume": config["resume"]} | {
        key: kept[key] for key in CLIENT_KEYS if key in wrong or key in given
    }
    line = " ".join(f"{key}={json.dumps(value)}" for key, value in again.items())
    return (
        f"resume = {config['resume']!r}: a run goes on under the config it began with: {listed}. "
        "Nothing was changed. The server takes its part from the run's folder; what the clients "
        f"read they have to be given again: --run-config '{line}'"
    )

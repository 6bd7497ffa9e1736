"""Run this checkout through Flower's simulation, on a SuperLink of its own.

    python scripts/flower.py --nodes 20 'strategy="relay" budget=400' 'strategy="fedavg"'

runs one config after the other; `flower_relay.transport.superlink` says why not simply `flwr run`.
Everything is checked first. The exit code says whether every run succeeded.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]

from launch import ROOT, Launch, how_to_go_on, number_of_nodes, prepare  # noqa: E402

from flower_relay.destinations import check_file  # noqa: E402
from flower_relay.errors import ConfigurationError, RelayError  # noqa: E402
from flower_relay.transport.superlink import PrivateSuperLink, end_tidily_on_signals, run_app  # noqa: E402


def main() -> int:
    end_tidily_on_signals()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=number_of_nodes, default=20, help="simulated SuperNodes")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where files go")
    parser.add_argument("--keep-log", type=Path, help="copy the SuperLink's log there")
    parser.add_argument("config", nargs="+", help="run config, as for flwr run --run-config")
    options = parser.parse_args()
    try:
        if options.keep_log:
            check_file(options.keep_log, "keep-log")
        launches = [prepare(config, options.runs_dir) for config in options.config]
        _check_names(launches)
        return _run(options, launches)
    except (RelayError, OSError, subprocess.TimeoutExpired) as problem:
        print(f"Error: {problem}", file=sys.stderr)
        return 1


def _check_names(launches: list[Launch]) -> None:
    """Refuse two new runs in one folder."""
    folders = [launch.folder for launch in launches if not launch.given.get("resume")]
    for folder in folders:
        if folders.count(folder) > 1:
            raise ConfigurationError(
                f"run-name = {folder.name!r}: expected another name for every run, found two runs "
                "of that name. Leave it empty for names of their own."
            )


def _run(options: argparse.Namespace, launches: list[Launch]) -> int:
    failures, at = 0, 0
    try:
        with PrivateSuperLink(ROOT) as link:
            try:
                for at, launch in enumerate(launches):
                    problem = run_app(link, options.nodes, launch.config)
                    if problem is not None:
                        failures += 1
                        print(f"FAILED: {options.config[at]}: {problem}", file=sys.stderr)
            finally:
                if options.keep_log:
                    shutil.copy(link.log, options.keep_log)
    except SystemExit:
        config, *rest = options.config[at:]
        print(how_to_go_on(launches[at], _command(options), config, rest), file=sys.stderr)
        raise
    return 1 if failures else 0


def _command(options: argparse.Namespace) -> list[str]:
    """This script with its options, to be given again."""
    kept = ["--keep-log", str(options.keep_log)] if options.keep_log else []
    where = ["--nodes", str(options.nodes), "--runs-dir", str(options.runs_dir)]
    return ["python", "scripts/flower.py", *where, *kept]


if __name__ == "__main__":
    sys.exit(main())

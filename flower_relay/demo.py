"""`flower-relay demo`: a federation trained by relay, through Flower's simulation, at once."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Annotated

import typer

from .bundle import app_root
from .errors import RelayError
from .transport.superlink import PrivateSuperLink, end_tidily_on_signals, run_app

__all__ = ["demo", "run_configs"]

_NEEDED = ("ray", "torch", "sklearn")


def demo(
    config: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CONFIG]...", help="run configs, as for flwr run --run-config"),
    ] = None,
    nodes: Annotated[int, typer.Option(min=2, help="simulated SuperNodes")] = 20,
    runs_dir: Annotated[Path, typer.Option(help="where files go")] = Path("runs"),
    watch: Annotated[bool, typer.Option("--watch", help="serve the first run's live page")] = False,
) -> None:
    """Train a federation on handwritten digits by relay, through Flower; table and report."""
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise RelayError(
            f"the demo needs {', '.join(missing)}, which is not installed. Nothing was run. "
            "pip install 'flower-relay[simulation,torch]'"
        )
    end_tidily_on_signals()
    configs = config or ['strategy="relay" budget=100']
    if watch:
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-demo"
        configs[0] += f' run-name="{name}"'
        _serve(runs_dir.absolute() / name)
    if run_configs(app_root(), nodes, runs_dir, configs):
        raise typer.Exit(1)


def _serve(folder: Path) -> None:
    """Serve the page of a run that is about to begin, for as long as this process lives."""
    from .report.server import HOST, make_app, serve  # takes a second to load

    def say(port: int, stop: Callable[[], None]) -> None:
        print(f"Watch at http://{HOST}:{port}/", flush=True)

    app = make_app([str(folder)], begins=True)
    Thread(target=serve, args=(app, 0), kwargs={"started": say}, daemon=True).start()


def run_configs(
    root: Path,
    nodes: int,
    runs_dir: Path,
    configs: Sequence[str],
    keep_log: Path | None = None,
) -> int:
    """Run one config of an app after the other on a SuperLink of its own; how many failed.

    Parameters
    ----------
    root : pathlib.Path
        The app's folder.
    nodes : int
        Simulated SuperNodes.
    runs_dir : pathlib.Path
        The app's run-config key `runs-dir`.
    configs : sequence of str
        As for `flwr run --run-config`.
    keep_log : pathlib.Path, optional
        Where the SuperLink's log is copied.
    """
    failures = 0
    with PrivateSuperLink(root) as link:
        try:
            for config in configs:
                where = f'runs-dir="{runs_dir.absolute()}"'
                problem = run_app(link, nodes, f"{where} {config}")
                if problem is not None:
                    failures += 1
                    print(f"FAILED: {config}: {problem}", file=sys.stderr)
        finally:
            if keep_log:
                shutil.copy(link.log, keep_log)
    return failures

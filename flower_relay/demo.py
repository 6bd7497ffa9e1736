"""`flower-relay demo`: a federation trained by relay, through Flower's simulation, at once."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from .bundle import app_root
from .errors import RelayError
from .superlink import PrivateSuperLink, end_tidily_on_signals, run_app

__all__ = ["demo", "run_configs"]

_NEEDED = ("ray", "torch", "sklearn")


def demo(
    config: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CONFIG]...", help="run configs, as for flwr run --run-config"),
    ] = None,
    nodes: Annotated[int, typer.Option(min=2, help="simulated SuperNodes")] = 20,
    runs_dir: Annotated[Path, typer.Option(help="where files go")] = Path("runs"),
) -> None:
    """Train a federation on handwritten digits by relay, through Flower; table and report."""
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise RelayError(
            f"the demo needs {', '.join(missing)}, which is not installed. Nothing was run. "
            "pip install 'flower-relay[simulation,torch]'"
        )
    end_tidily_on_signals()
    configs = config or ['strategy="relay" budget=100']
    if run_configs(app_root(), nodes, runs_dir, configs):
        raise typer.Exit(1)


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

"""The command of `flower-relay new`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .project import FRAMEWORKS, write_project

__all__ = ["new"]


def new(
    name: Annotated[str, typer.Argument(help="the project's name, or a path that ends in it")],
    framework: Annotated[str, typer.Option(help=f"one of {', '.join(FRAMEWORKS)}")] = "pytorch",
) -> None:
    """Write a Flower app that trains by relay; `flwr run` runs it as it is."""
    folder = write_project(Path(name), framework)
    typer.echo(
        f"Written: {folder}\n\n"
        f"    cd {name}\n"
        "    pip install -e .\n"
        '    flwr run . --stream --federation-config "num-supernodes=10 '
        'client-resources-num-cpus=1"\n\n'
        "README.md says where its files go and what is yours to change."
    )

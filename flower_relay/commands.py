"""The commands of `flower-relay`, each loaded when it is the one that is asked for.

Some of them load matplotlib, Flower or a database; whoever asks for the list of commands, or for
another one, does not wait for that. So the list has its sentences here, and a test holds them to
what the commands say of themselves.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["COMMANDS", "Commands"]

COMMANDS = {
    "new": ("scaffold.cli:new",
            "Write a Flower app that trains by relay; `flwr run` runs it as it is."),
    "demo": ("demo:demo",
             "Train a federation on handwritten digits by relay, through Flower; table and "
             "report."),
    "watch": ("report.cli:watch",
              "Show runs live on a page of this machine, going on or over; it only reads them."),
    "report": ("report.cli:report",
               "Write the page of runs as one file that needs no server and no network."),
    "plan": ("forecast.cli:plan",
             "Say what a run will take, under relay and FedAvg, from a small one that is "
             "imagined."),
    "compare": ("comparison.cli:app",
                "Compare strategies: should I use this instead of FedAvg?"),
    "economy": ("economy.cli:app", "The mechanism's numerical simulation."),
    "ledger": ("ledger.cli:app", "Verify a run's ledger, and read it."),
}  # fmt: skip
"""Where each command is, and what it does in a sentence."""


class _Loaded(Mapping[str, Any]):
    """The commands by name; looking one up loads it."""

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = COMMANDS[name][0].partition(":")
        found = getattr(importlib.import_module(f".{module}", __package__), attribute)
        holder = typer.Typer(add_completion=False)
        holder.callback()(lambda: None)
        if isinstance(found, typer.Typer):
            holder.add_typer(found, name=name)
        else:
            holder.command(name)(found)
        group: Any = typer.main.get_command(holder)
        return group.commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = _Loaded()

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the list, and load none of the commands for it."""
        listed = copy.copy(self)
        listed.commands = {
            name: TyperCommand(name, help=sentence) for name, (_, sentence) in COMMANDS.items()
        }
        TyperGroup.format_help(listed, ctx, formatter)

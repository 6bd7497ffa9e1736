"""`flower-relay economy`: replay the authors' trace, run an economy, sweep many."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .policies import POLICIES
from .replay import MOST_ERROR, replay
from .settings import EconomySettings

__all__ = ["app", "with_settings"]

app = typer.Typer(no_args_is_help=True, help="The mechanism's numerical simulation.")

_TYPES = {"int": int, "float": float, "str": str, "float | None": float | None}


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for every field of `EconomySettings`.

    The command's parameter `settings` is replaced by them; names, defaults and help come
    from the fields, so that nothing about a setting is said twice.
    """
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "settings"]
    options = [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=item.default,
            annotation=Annotated[_TYPES[str(item.type)], typer.Option(help=item.metadata["help"])],
        )
        for item in dataclasses.fields(EconomySettings)
    ]

    def with_options(**values: Any) -> None:
        names = {option.name for option in options}
        chosen = {name: value for name, value in values.items() if name in names}
        rest = {name: value for name, value in values.items() if name not in names}
        command(settings=EconomySettings(**chosen), **rest)

    ordered = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + options
    with_options.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    with_options.__doc__ = command.__doc__
    with_options.__name__ = command.__name__
    return with_options


@app.command("replay")
def replay_command(
    file: Annotated[Path, typer.Argument(help="a recorded economy (gzip'd JSON)")],
) -> None:
    """Play a recorded economy on our rules and compare every coin; exit 0 when all is equal."""
    report = replay(file)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"max abs error {report.max_error:.3g} over {report.rounds} rounds")
    console.print(f"coins in circulation at the end: {report.circulating:,.4f}")
    if report.difference is not None:
        console.print(f"[bold red]differs[/] at {escape(str(report.difference))}")
        raise typer.Exit(1)
    console.print(
        "owners, matching, recognised models and versions equal in every round; "
        f"bids and balances within {MOST_ERROR:g}"
    )


@app.command("policies")
def policies_command() -> None:
    """List the policies that `--policies` mixes."""
    table = Table("policy", "what it does", "bid", "training", title="Policies")
    for name, policy in POLICIES.items():
        table.add_row(name, policy.about, policy.bid, policy.training)
    Console().print(table)

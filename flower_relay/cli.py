"""`flower-relay`: what can be done without a federation, from the command line."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from .comparison.cli import app as comparison_app
from .economy.cli import app as economy_app
from .errors import RelayError
from .ledger.cli import app as ledger_app
from .ledger.legible import legible

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Relay learning for Flower: compare it, simulate its economy, and read its ledgers.",
)
app.add_typer(comparison_app, name="compare")
app.add_typer(economy_app, name="economy")
app.add_typer(ledger_app, name="ledger")


def main() -> None:
    """Run the command line; an error of ours is a message, not a traceback."""
    try:
        app()
    except RelayError as problem:
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        # A message may quote a ledger or a reply, which are anybody's; its lines are ours.
        said = "\n".join(legible(line, 5000) for line in str(problem).split("\n"))
        console.print(f"[bold red]Error:[/] {escape(said)}")
        sys.exit(1)


if __name__ == "__main__":
    main()

"""`flower-relay watch` and `flower-relay report`: a run's page, live or as a file."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ..errors import RelayError
from .follower import Follower
from .run_page import saved_page

__all__ = ["report", "watch"]

_Runs = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="a run's folder, its ledger.db, a folder of runs (the newest is taken), or "
        "postgresql://…/DATABASE#RUN; several are shown side by side",
    ),
]


def watch(
    runs: _Runs,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 takes any port that is free")
    ] = 8420,
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="open the page in the browser")
    ] = False,
) -> None:
    """Show runs live on a page of this machine, going on or over; it only reads them."""
    from .server import HOST, make_app, serve

    def say(port: int, stop: Callable[[], None]) -> None:
        address = f"http://{HOST}:{port}/"
        typer.echo(f"Watch at {address} (Ctrl-C ends it; the runs go on)")
        if show:
            webbrowser.open(address)

    try:
        serve(make_app(runs), port, started=say)
    except SystemExit as ended:  # how uvicorn says that it could not listen
        if ended.code:
            raise RelayError(
                f"port {port} of {HOST} cannot be listened on, perhaps by another `watch`. "
                "Nothing was changed; --port 0 takes one that is free."
            ) from None


def report(
    runs: _Runs,
    out: Annotated[Path, typer.Option(help="the file to write")] = Path("report.html"),
) -> None:
    """Write the page of runs as one file that needs no server and no network."""
    followers = [Follower(run) for run in runs]
    for follower in followers:
        follower.poll()
        if follower.view.phase.problem or follower.view.record is None:
            raise RelayError(
                follower.view.phase.problem
                or f"{follower.view.title}: expected a ledger with blocks, found none yet. "
                "Nothing was written."
            )
    out.write_text(saved_page([follower.view for follower in followers]), encoding="utf-8")
    typer.echo(str(out))

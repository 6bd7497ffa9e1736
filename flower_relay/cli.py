"""`flower-relay`: everything around a federation, from the command line."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from . import __version__
from .bundle import extra_of, make_importable
from .commands import Commands
from .errors import RelayError
from .legible import legible

__all__ = ["app", "main"]

_PIPED = {"COLUMNS": "200", "TERMINAL_WIDTH": "100"}
"""Where no terminal says how wide it is: tables whole (rich would take 80), help as read."""

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Relay learning for Flower: begin a project, watch its runs, compare it with "
    "averaging, simulate its economy, and read its ledgers.",
)


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"flower-relay {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """What holds for all commands."""


_GO_ON = (["compare", "run"], ["compare", "tune"], ["economy", "sweep"])
"""Commands that keep what is finished, and take it up when they are given again."""


def main() -> None:
    """Run the command line; an error of ours or of a file is a message, not a traceback."""
    if not sys.stdout.isatty():
        os.environ.update({key: _PIPED[key] for key in _PIPED.keys() - os.environ.keys()})
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    try:
        make_importable()
        app()
    except (RelayError, ModuleNotFoundError) as problem:
        cure = extra_of(problem)
        if cure is None and not isinstance(problem, RelayError):
            raise
        # A message may quote a ledger or a reply, which are anybody's; its lines are ours.
        said = "\n".join(legible(line, 5000) for line in str(problem).split("\n"))
        _say(f"[bold red]Error:[/] {escape(said)}")
        if cure is not None and cure not in said:
            _say(f"To have what is missing: {escape(cure)}")
        sys.exit(1)
    except OSError as problem:
        _say(f"[bold red]Error:[/] {escape(_of_file(problem))}")
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            _say(escape(_how_to_go_on(sys.argv[1:])))
        raise


_INTERRUPTED = 128 + signal.SIGINT


def _stop(number: int, frame: FrameType | None) -> None:
    """Say at once that it stops: what is being played may take seconds to end."""
    with contextlib.suppress(OSError):
        os.write(2, b"\nStopping ...\n")  # not by print, which may be at work in this moment
    raise KeyboardInterrupt


def _how_to_go_on(words: list[str]) -> str:
    command = shlex.join(["flower-relay", *words])
    if words[:2] in _GO_ON:
        return f"Stopped. What is finished is kept. To go on from there: {command}"
    return f"Stopped; nothing is kept of it. To begin anew: {command}"


def _of_file(problem: OSError) -> str:
    """What the system says of a file that could not be read or written."""
    where = "" if problem.filename is None else f"{problem.filename}: "
    return f"{where}{problem.strerror or problem}. Name another file or folder, or clear this one."


def _say(text: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(text)


if __name__ == "__main__":
    main()

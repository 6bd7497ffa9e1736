"""`flower-relay economy`: replay the authors' trace, run an economy, study and sweep many."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..destinations import check_folder
from ..errors import ConfigurationError
from .files import write_result, write_study
from .policies import POLICIES, names_in
from .result import LAGS, gini, version_shares
from .settings import EconomySettings
from .simulation import simulate
from .study import FIGURES, study
from .sweep import Grid, sweep
from .sweep_view import heat_map, sweep_table
from .tables import income_table, policy_table, study_table, summary_table
from .trace import MOST_ERROR, read_trace, replay

__all__ = ["app", "with_settings"]

app = typer.Typer(no_args_is_help=True, help="The mechanism's numerical simulation.")

_TYPES = {"int": int, "float": float, "str": str, "float | None": float | None}


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for every field of `EconomySettings`.

    The command's parameter `settings` is replaced by them; names, defaults and help come
    from the fields, so that nothing about a setting is said twice.
    """
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "settings"
    ]
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

    parameters = [*own, *options]
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in parameters}
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


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar with time left; yields what sets how many are done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@app.command("run")
@with_settings
def run_command(
    settings: EconomySettings,
    out: Annotated[Path, typer.Option(help="folder for Parquet, settings and pictures")] = Path(
        "economy"
    ),
) -> None:
    """Play one economy (the paper's by default); print its table, write its files."""
    check_folder(out)
    with _progress("rounds", settings.rounds) as tell:
        result = simulate(settings, tell)
    console = Console()
    console.print(summary_table(result))
    if len(names_in(settings.policies)) > 1:
        console.print(income_table(result))
    for path in write_result(out, result):
        console.print(f"  {path}", soft_wrap=True, highlight=False)


@app.command("study")
@with_settings
def study_command(
    settings: EconomySettings,
    seeds: Annotated[int, typer.Option(help="how many seeds, from --seed on", min=1)] = 50,
    workers: Annotated[
        int | None, typer.Option(help="processes; one a core by default", min=1)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder for Parquet and JSON; nothing is written without")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="a recorded economy to stand beside the figures")
    ] = None,
) -> None:
    """Play one economy with many seeds: does it last, who earns, does it pay to cheat?"""
    if out is not None:
        check_folder(out)
    known = None if reference is None else _reference_figures(reference)
    with _progress("seeds", seeds) as tell:
        found = study(settings, seeds, workers=workers, on_seed=tell)
    console = Console()
    console.print(study_table(found, known))
    if len(names_in(settings.policies)) > 1:
        console.print(policy_table(found))
    for path in [] if out is None else write_study(out, found):
        console.print(f"  {path}", soft_wrap=True, highlight=False)


def _reference_figures(path: Path) -> dict[str, float]:
    """What a recorded economy came to, by the names that studies use."""
    last = read_trace(path)[-1]
    shares = version_shares(np.array(last["version"]))
    figures = {f"share {lag}": float(share) for lag, share in zip(LAGS, shares, strict=True)}
    coins = np.array(last["coins"])
    return figures | {
        "coins": float(coins.sum()),
        "gini": gini(coins),
        "income median": float(np.median(coins)),
    }


@app.command("sweep")
@with_settings
def sweep_command(
    settings: EconomySettings,
    vary: Annotated[
        list[str],
        typer.Option(help="NAME=VALUE,VALUE,... (mixes of policies separated by `;`); repeatable"),
    ],
    seeds: Annotated[int, typer.Option(help="seeds for each setting", min=1)] = 5,
    out: Annotated[
        Path, typer.Option(help="folder for finished cells, the table and the maps")
    ] = Path("sweep"),
    figure: Annotated[
        list[str] | None, typer.Option(help="figures to show; `coins` and `gini` by default")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="of a Ray cluster; by default Ray runs here")
    ] = None,
) -> None:
    """Play a grid of settings times seeds on Ray; what is finished is not played again."""
    grid = Grid.parse(vary)
    figures = figure or ["coins", "gini"]
    if unknown := sorted(set(figures) - set(FIGURES)):
        raise ConfigurationError(f"figure {unknown[0]!r}: there are {', '.join(FIGURES)}.")
    check_folder(out)
    total = len(grid.cells(settings)) * seeds
    with _progress("economies", total) as tell:
        found = sweep(
            settings, grid, seeds, out, address=address, on_cell=lambda done, _: tell(done)
        )
        tell(total)
    console = Console()
    console.print(sweep_table(found, figures))
    for name in figures:
        path = out / f"{name.replace(' ', '_')}.png"
        heat_map(found, name, path)
        console.print(f"  {path}", soft_wrap=True, highlight=False)

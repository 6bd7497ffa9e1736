"""`flower-relay compare`: run a comparison, tune its strategies, print its tables."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..destinations import check_folder
from ..errors import ConfigurationError, RelayError
from .answer import answer, measured
from .command import read_config
from .files import read_results, read_tuning, write_plan
from .own_app import code_of, of_app
from .plan import TUNING_NOTES, Cell, Plan
from .playing import Failure, check_cells, play_cells, player_named
from .tables import tables_of, write_tables
from .tuning import check_seeds, tune

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="Compare strategies: should I use this instead of FedAvg?"
)

_PLAN = Plan()
_STRATEGIES, _DATA, _PARTITIONS = list(_PLAN.strategies), list(_PLAN.data), list(_PLAN.partitions)
_ATTACKS = [attack or "none" for attack in _PLAN.attacks]
_SHARES, _SEEDS = list(_PLAN.shares), len(_PLAN.seeds)
_PLAYER = "strategies.contest:play"

Out = Annotated[Path, typer.Option(help="the comparison's folder; a run goes on where it stopped")]
Strategies = Annotated[
    list[str],
    typer.Option("--strategy", help="repeatable; `relay:lanes=5` for a setting of its own"),
]
Data = Annotated[list[str], typer.Option("--data", help="repeatable; `digits@cnn` names a model")]
Partitions = Annotated[
    list[str],
    typer.Option(
        "--partition", help="repeatable: iid, dirichlet:ALPHA, labels:K, extended:K, natural"
    ),
]
Attacks = Annotated[
    list[str],
    typer.Option(
        "--attack",
        help="repeatable: a hostile behaviour, or `none` for nobody hostile; with --app one that "
        "changes answers only: sign-flip, scale, noise, free-ride, liar, sleeper",
    ),
]
Shares = Annotated[
    list[float], typer.Option("--share", help="repeatable: share of the participants hostile")
]
Seeds = Annotated[int, typer.Option(help="how many seeds, from --first-seed on", min=1)]
FirstSeed = Annotated[int, typer.Option(help="the first of the seeds", min=0)]
Nodes = Annotated[int, typer.Option(help="participants", min=2)]
Budget = Annotated[int, typer.Option(help="client-epochs that everybody may use", min=1)]
Engine = Annotated[str, typer.Option(help="`memory`, or `flower` for Flower's own simulation")]
Fleet = Annotated[str, typer.Option(help="simulated fleet in whose order answers arrive")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE of the run config, for every cell")
]
Target = Annotated[
    float,
    typer.Option(
        help="accuracy to reach; 0 for 97 % of the best averaging strategy's rise above what "
        "is had without learning"
    ),
]
Workers = Annotated[int | None, typer.Option(help="processes; one a core by default", min=1)]
TuningSeeds = Annotated[
    int, typer.Option(help="seeds that each setting of the tuning is tried on", min=1, max=6)
]
Config = Annotated[
    Path | None,
    typer.Option(help="a TOML file of these options, by their names; what is given here counts"),
]
App = Annotated[
    Path | None,
    typer.Option(
        help="folder of a Flower app of your own, which brings model, data and clients. Every "
        "strategy but SCAFFOLD, which needs a ClientApp that corrects its own steps"
    ),
]
Initial = Annotated[
    str,
    typer.Option(help="with --app: module:function that returns its initial arrays"),
]
RateKey = Annotated[
    str, typer.Option(help="with --app: the run-config key of the clients' learning rate")
]
Metric = Annotated[
    str, typer.Option(help="with --app: the metric to judge by, as its evaluation names it")
]
PlayerName = Annotated[str, typer.Option("--player", help="module:function that plays a cell")]


@app.command("run")
def run_command(
    ctx: typer.Context,
    config: Config = None,
    app: App = None,
    initial: Initial = "",
    rate_key: RateKey = "",
    metric: Metric = "",
    strategy: Strategies = _STRATEGIES,
    data: Data = _DATA,
    partition: Partitions = _PARTITIONS,
    attack: Attacks = _ATTACKS,
    share: Shares = _SHARES,
    seeds: Seeds = _SEEDS,
    first_seed: FirstSeed = 0,
    nodes: Nodes = _PLAN.nodes,
    budget: Budget = _PLAN.budget,
    engine: Engine = _PLAN.engine,
    fleet: Fleet = _PLAN.fleet,
    settings: Set = None,
    target: Target = _PLAN.target,
    tuned: Annotated[
        bool, typer.Option("--tune/--no-tune", help="tune what this folder has no tuning of")
    ] = True,
    tuning_seeds: TuningSeeds = _PLAN.tuning_seeds,
    workers: Workers = None,
    player: PlayerName = _PLAYER,
    out: Out = Path("comparison"),
) -> None:
    """Play every strategy to the same budget; print the tables, write them beside the cells."""
    asked = _asked(ctx)
    plan, out, player = _plan(asked), Path(asked["out"]), str(asked["player"])
    if asked["tuned"]:
        check_seeds(plan)
    _find(player)
    check_cells(plan.cells(), player)
    check_folder(out)
    write_plan(out, plan, player=player, tune=bool(asked["tuned"]), **code_of(asked))
    if asked["tuned"]:
        _tune(plan, out, player, asked["workers"])
    cells = plan.cells(read_tuning(out))
    with _progress("cells", len(cells)) as tell:
        failures = play_cells(cells, out / "cells", player, workers=asked["workers"], on_cell=tell)
    _show(out)
    if failures:
        raise RelayError(
            f"{len(failures)} of {len(cells)} cells could not be played; the first: "
            f"{failures[0].cell}: {failures[0].reason} The tables are of the others; the same "
            "command tries again what is missing."
        )


@app.command("tune")
def tune_command(
    ctx: typer.Context,
    config: Config = None,
    strategy: Strategies = _STRATEGIES,
    data: Data = _DATA,
    partition: Partitions = _PARTITIONS,
    nodes: Nodes = _PLAN.nodes,
    budget: Budget = _PLAN.budget,
    settings: Set = None,
    target: Target = _PLAN.target,
    tuning_seeds: TuningSeeds = _PLAN.tuning_seeds,
    workers: Workers = None,
    player: PlayerName = _PLAYER,
    out: Out = Path("comparison"),
) -> None:
    """Find each strategy's own settings, on seeds that are not reported."""
    asked = _asked(ctx) | {"attack": ["none"], "seeds": 1, "first_seed": 0}
    plan, out, player = _plan(asked), Path(asked["out"]), str(asked["player"])
    _find(player)
    check_cells(plan.cells(), player)
    check_folder(out)
    found = _tune(plan, out, player, asked["workers"])
    console = Console(soft_wrap=True, highlight=False)
    for name, entry in found.items():
        chosen = {key: value for key, value in entry.items() if key not in TUNING_NOTES}
        console.print(f"{escape(name)}: {chosen} ({len(entry['tried'])} tried)")


@app.command("tables")
def tables_command(
    folder: Annotated[Path, typer.Argument(help="a comparison's folder")],
) -> None:
    """Print a comparison's tables again, and write them, from its finished cells."""
    _show(folder)


_DEFAULTS: dict[str, Any] = {
    "share": _SHARES, "engine": _PLAN.engine, "fleet": _PLAN.fleet, "settings": None,
    "app": None, "initial": "", "rate_key": "", "metric": "",
}  # fmt: skip
"""Of options that only one of the commands has."""

_IN_FILE: dict[str, type] = {
    "strategy": list, "data": list, "partition": list, "attack": list, "share": list,
    "seeds": int, "first-seed": int, "nodes": int, "budget": int, "engine": str, "fleet": str,
    "set": dict, "target": float, "tune": bool, "tuning-seeds": int, "workers": int,
    "player": str, "out": str, "app": str, "initial": str, "rate-key": str, "metric": str,
}  # fmt: skip
"""What a file of options may hold: the command's own, by their names."""

_RENAMED = {"set": "settings", "tune": "tuned"}


def _asked(ctx: typer.Context) -> dict[str, Any]:
    """The options: as given, else as the file has them, else their defaults."""
    asked = _DEFAULTS | dict(ctx.params)
    given = {key for key in ctx.params if _is_given(ctx, key)}
    found = {} if asked["config"] is None else read_config(Path(asked["config"]), _IN_FILE)
    options = {_RENAMED.get(key, key.replace("-", "_")): each for key, each in found.items()}
    asked |= {key: value for key, value in options.items() if key not in given}
    return of_app(asked, given | options.keys())


def _is_given(ctx: typer.Context, key: str) -> bool:
    source = ctx.get_parameter_source(key)
    return source is not None and source.name != "DEFAULT"


def _plan(asked: Mapping[str, Any]) -> Plan:
    given = asked["settings"] or ()
    settings = given if isinstance(given, dict) else dict(_setting(text) for text in given)
    settings = {**settings, **asked.get("app_settings", {})}
    first = int(asked["first_seed"])
    return Plan(
        strategies=tuple(asked["strategy"]),
        data=tuple(asked["data"]),
        partitions=tuple(asked["partition"]),
        attacks=tuple("" if attack == "none" else attack for attack in asked["attack"]),
        shares=tuple(float(s) if isinstance(s, int) else s for s in asked["share"]),
        seeds=tuple(range(first, first + int(asked["seeds"]))),
        nodes=asked["nodes"],
        budget=asked["budget"],
        engine=asked["engine"],
        fleet=asked["fleet"],
        settings=settings,
        target=asked["target"],
        tuning_seeds=asked["tuning_seeds"],
    )


def _setting(text: str) -> tuple[str, Any]:
    """KEY=VALUE, the value a number where it reads as one."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigurationError(f"set {text!r}: expected KEY=VALUE, as in max-leg=1.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _find(player: str) -> None:
    """Make sure that the player can be imported; apps are found in the folder one is in."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    player_named(player)


def _tune(plan: Plan, out: Path, player: str, workers: int | None) -> dict[str, dict[str, Any]]:
    with _progress("tuning", 0) as tell:
        return tune(plan, out, player, workers=workers, on_cell=tell, on_step=tell.expect)


class _Teller:
    """Moves a progress bar on and names what failed."""

    def __init__(self, bar: Progress, what: str, total: int) -> None:
        self._bar, self._total = bar, total
        self._task = bar.add_task(what, total=total)

    def expect(self, more: int) -> None:
        """There are more cells to come than was known."""
        self._total += more
        self._bar.update(self._task, total=self._total)

    def __call__(self, cell: Cell, failure: Failure | None) -> None:
        self._bar.advance(self._task)
        if failure is not None:
            text = f"[bold red]failed:[/] {escape(f'{cell}: {failure.reason}')}"
            self._bar.console.print(text, soft_wrap=True, highlight=False)


@contextmanager
def _progress(what: str, total: int) -> Iterator[_Teller]:
    """A progress bar with time left."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield _Teller(bar, what, total)


def _show(folder: Path) -> None:
    """Print the tables and the answer; write the tables, and the page where there is one."""
    results = read_results(folder)
    tables = tables_of(results)
    console = Console(width=None if Console().is_terminal else 160)
    for table in tables:
        console.print(table.rich())
    for line in (*answer(results), *measured(results)):
        console.print(line, soft_wrap=True, highlight=False)
    paths = write_tables(folder, tables)
    page = _page()
    if page is not None:
        paths.append(page(folder))
    console.print(f"Tables and cells are in {folder}", soft_wrap=True, highlight=False)


def _page() -> Callable[[Path], Path] | None:
    """What writes the HTML page of a comparison; the one place where it is wired in."""
    if importlib.util.find_spec("flower_relay.comparison.page") is None:
        return None
    module = importlib.import_module("flower_relay.comparison.page")
    found: Callable[[Path], Path] = module.write_comparison_page
    return found

"""The command of `flower-relay plan`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..comparison.devices import FLEETS, TRAIN_SECONDS
from ..settings import RelaySettings
from .question import Question
from .scale import Forecast, forecast

__all__ = ["plan"]


def plan(
    nodes: Annotated[int, typer.Option(min=2, help="participants")] = 20,
    model_mb: Annotated[float, typer.Option(help="size of the model's weights")] = 1.0,
    hops: Annotated[int, typer.Option(min=1, help="local trainings, in total")] = 200,
    fleet: Annotated[str, typer.Option(help=f"simulated: {', '.join(FLEETS)}")] = "homogeneous",
    cases: Annotated[int, typer.Option(min=1, help="that a participant trains on")] = 500,
    epochs: Annotated[int, typer.Option(min=1, help="local epochs a training")] = 1,
    case_ms: Annotated[
        float, typer.Option(help="milliseconds a case and epoch, on a device of speed 1")
    ] = 1000 * TRAIN_SECONDS,
    examiners: Annotated[
        int, typer.Option(min=0, help="the most that test a leg; five do while examiners agree")
    ] = 15,
    lanes: Annotated[int, typer.Option(min=1, help="relays at once")] = 1,
    mod: Annotated[
        bool, typer.Option("--mod/--no-mod", help="participants run relay_mod, or do not")
    ] = False,
    fraction: Annotated[
        float, typer.Option(min=0.01, max=1, help="part of the nodes FedAvg trains a round")
    ] = 0.5,
) -> None:
    """Say what a run will take, under relay and FedAvg, from a small one that is imagined."""
    asked = Question(
        nodes=nodes, model_mb=model_mb, hops=hops, fleet=fleet, cases=cases, epochs=epochs,
        case_seconds=case_ms / 1000, mod=mod, fraction=fraction,
        settings=RelaySettings(examiners=examiners, lanes=lanes, min_available_nodes=nodes),
    )  # fmt: skip
    console = Console(highlight=False)
    console.print(_table(asked, forecast(asked)))
    console.print(
        Text(
            "The same number of local trainings for both; a relay usually needs fewer of them "
            "(docs/comparison.md). Evaluations are each of one model by one participant. Hours "
            "are those of a simulated fleet (flower_relay/comparison/devices.py), without what "
            "Flower itself takes for a message. Memory is of the server's process, from "
            "measurements (docs/fleet.md)."
        ),
        soft_wrap=not console.is_terminal,
    )


def _table(asked: Question, found: list[Forecast]) -> Table:
    table = Table(
        title=f"{asked.nodes} participants ({asked.fleet}), a model of {asked.model_mb:g} MB, "
        f"{asked.hops:,} trainings of {asked.cases} cases",
        title_justify="left",
    )
    table.add_column("what")
    for each in found:
        table.add_column(each.strategy, justify="right")
    rows = {
        "trainings": [f"{each.trainings:,.0f}" for each in found],
        "evaluations": [f"{each.evaluations:,.0f}" for each in found],
        "messages": [f"{each.messages:,.0f}" for each in found],
        "bytes a node": [_size(each.megabytes_a_node) for each in found],
        "hours": [f"{each.hours:,.2f}" for each in found],
        "ledger": [_size(each.ledger_mb) for each in found],
        "server memory": [f"about {_size(each.server_mb)}" for each in found],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def _size(megabytes: float | None) -> str:
    if megabytes is None:
        return "none"
    for unit, size in (("TB", 1e6), ("GB", 1e3), ("MB", 1.0)):
        if megabytes >= size:
            return f"{megabytes / size:,.1f} {unit}"
    return f"{1000 * megabytes:,.1f} kB"

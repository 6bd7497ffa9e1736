"""Tables of economies for the terminal."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from .policies import POLICIES, names_in
from .result import LAGS, EconomyResult
from .study import Study

__all__ = ["income_table", "policy_table", "study_table", "summary_table"]

_RECENT = 5
"""Version shares worth a row: the latest and the four before it."""


def summary_table(result: EconomyResult) -> Table:
    """One economy at its end."""
    settings, income = result.settings, result.participants["income"]
    table = Table(
        title=f"{settings.participants:,} participants, {len(result.rounds['round'])} rounds "
        f"({settings.topology}, {settings.rewards}, seed {settings.seed})",
        show_header=False,
    )
    survival = (
        "survived"
        if result.extinct_after is None
        else f"[bold red]extinct[/] after round {result.extinct_after}: nobody was recognised"
    )
    low, middle, high = np.quantile(income, [0.05, 0.5, 0.95])
    recent = "  ".join(
        f"{lag} {100 * share:.1f} %"
        for lag, share in zip(LAGS[:_RECENT], result.shares[-1], strict=False)
    )
    rows = {
        "the economy": survival,
        "coins in circulation": f"{result.circulating:,.4f}",
        "minted, burned": f"{result.rounds['minted'].sum():,.4f}, "
        f"{result.rounds['burned'].sum():,.4f}",
        "hops, recognised": f"{result.rounds['hops'].sum():,}, "
        f"{result.rounds['recognised'].sum():,}",
        "Gini coefficient of coins": f"{result.gini[-1]:.3f}",
        "income 5 %, median, 95 %": f"{low:,.2f}, {middle:,.2f}, {high:,.2f}",
        "newest model held": recent,
        "no model": f"{100 * result.shares[-1, -1]:.1f} %",
        "mean satisfaction": f"{result.participants['satisfaction'].mean():,.2f} of "
        f"{len(result.rounds['round'])}",
    }
    if settings.topology == "fan-out":
        rows["income of the genesis owner"] = f"{income[0]:,.2f}"
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def income_table(result: EconomyResult) -> Table:
    """Incomes per policy in one economy; the genesis owner left out."""
    table = Table(
        "policy", "participants", "mean income", "median", "recognised per hop", "forfeits",
        title="Income by policy (one seed: see `flower-relay economy study` for intervals)",
    )  # fmt: skip
    people = result.participants
    for name in names_in(result.settings.policies):
        theirs = people["policy"] == list(POLICIES).index(name)
        theirs[0] = False
        income = result.income_of(name)
        if len(income) == 0:
            continue
        rate = people["recognised"][theirs].sum() / max(1, people["hops"][theirs].sum())
        table.add_row(
            name, str(len(income)), f"{income.mean():,.3f}", f"{np.median(income):,.3f}",
            f"{rate:.2f}", f"{people['forfeits'][theirs].mean():.1f}",
        )  # fmt: skip
    return table


def study_table(found: Study, reference: dict[str, float] | None = None) -> Table:
    """Figures over seeds, beside a reference's where there is one."""
    settings = found.settings
    columns = ["", "mean, 95 % interval", "central 95 % of seeds"]
    table = Table(
        *columns, *(["reference", "inside"] if reference else []),
        title=f"{found.seeds} seeds of {settings.participants:,} participants, "
        f"{settings.rounds} rounds ({settings.topology}, {settings.rewards})",
    )  # fmt: skip
    shown = ["coins", "gini", "survived", "income median"]
    shown += [f"share {lag}" for lag in (*LAGS[:_RECENT], "none")]
    for name in shown:
        estimate = found.estimate(name)
        row = [
            name,
            f"{estimate.mean:,.4f} ± {estimate.half_width:,.4f}",
            f"{estimate.low:,.4f} to {estimate.high:,.4f}",
        ]
        if reference:
            known = reference.get(name)
            row += ["", ""] if known is None else [
                f"{known:,.4f}", "yes" if estimate.low <= known <= estimate.high else "[red]no[/]",
            ]  # fmt: skip
        table.add_row(*row)
    return table


def policy_table(found: Study) -> Table:
    """Does it pay to cheat? Mean incomes per policy, and what each earns over honesty."""
    settings = found.settings
    table = Table(
        "policy", "mean income", "minus honest, same runs", "it ...", "mean satisfaction",
        title=f"Mean income per participant, 95 % intervals over {found.seeds} seeds "
        f"({settings.topology}, {settings.rewards}; genesis owner left out)",
    )  # fmt: skip
    for policy in found.played:
        compared = f"advantage {policy}" in found.figures
        table.add_row(
            policy,
            str(found.estimate(f"income {policy}")),
            str(found.advantage(policy)) if compared else "",
            found.verdict(policy) if compared else "",
            str(found.estimate(f"satisfaction {policy}")),
        )
    return table

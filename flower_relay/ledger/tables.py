"""What the command line shows of a ledger: verdict, blocks, balances, statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.table import Table
from rich.text import Text

from ..errors import LedgerError
from ..legible import legible
from ..mechanism.blocks import (
    Admission,
    Block,
    Commitment,
    Deposit,
    Genesis,
    Publication,
    Settlement,
    Testing,
)
from ..mechanism.identity import short_name
from ..rules.coins import PaymentRule, effect_of, to_coins
from ..rules.outcomes import Outcome
from .reading import Step
from .verdict import Verdict

__all__ = [
    "NOT_PROVED",
    "balances_table",
    "blocks_table",
    "statement_table",
    "verdict_table",
]

NOT_PROVED = (
    "Not proved by any ledger: who the founders are, since the operator named them and may hold "
    "their keys itself; that a hop without a model failed as it is said to have; that nobody else "
    "was kept out. And an operator that may run code of its own on the nodes (SuperNodes without "
    "--trusted-entities) can read their keys, and sign as anybody."
)
"""What `verify` says beside its verdict, whatever that is."""


_MOST_PRODUCERS = 20
"""Public keys that are listed; a ledger should have one."""

_LONGEST_NAME = 80
"""Characters of a name: one of a key has 68."""


def _cell(text: str) -> Text:
    """What a ledger holds, as it is: neither markup nor what moves the cursor."""
    return Text(legible(text, _LONGEST_NAME))


def verdict_table(verdict: Verdict) -> Table:
    """What was checked, and how much of it."""
    table = Table("checked", "", title=None, show_header=False)
    add = table.add_row
    add("blocks", f"{verdict.blocks}, {verdict.rounds} rounds, the last a {verdict.ended_in}")
    add("head", verdict.head)
    shown = [legible(producer, 64) for producer in verdict.producers[:_MOST_PRODUCERS]]
    more = len(verdict.producers) - len(shown)
    add("signed by", Text("\n".join([*shown, f"and {more} others"] if more else shown)))
    add("operator's signatures", str(verdict.signatures))
    add("hops attested by the operator only", str(verdict.hops_attested))
    add("hops signed by their trainers", str(verdict.hops_signed))
    add("votes attested by the operator only", str(verdict.votes_attested))
    add("votes signed by their examiners", str(verdict.votes_signed))
    add("draws that the operator could choose", str(verdict.draws_without))
    add("draws with participants' nonces", str(verdict.draws_with_nonces))
    add("draws without a committee, for want of nonces", str(verdict.draws_void))
    add("nonces that were never opened", str(verdict.nonces_withheld))
    signing = f"{verdict.founders_signing} with keys"
    add("founders that the operator named", f"{verdict.founders}, {signing}")
    add("faults by the operator's word", str(verdict.faults_attested))
    again, stated = verdict.averages_checked, verdict.averages_stated
    add("published averages", f"{again} made again, {stated} whose parents are collected")
    if (models := verdict.models) is None:
        add("model files", "not checked: no folder of models")
        return table
    add("model files", f"{models.present} present, {models.collected} collected, "
        f"{len(models.missing)} missing, {len(models.changed)} changed, "
        f"{len(models.unnamed)} that no block names")  # fmt: skip
    return table


def blocks_table(steps: Iterable[Step]) -> Table:
    """A line for each block."""
    table = Table("block", "kind", "round", "what", "hash")
    for step in steps:
        block = step.block
        number = "" if isinstance(block, Genesis) else str(block.round)
        kind = type(block).__name__.lower()
        cells = (str(step.sealed.index), kind, number, _in_short(block), step.sealed.hash[:12])
        table.add_row(*map(_cell, cells))
    return table


def _in_short(block: Block) -> str:
    match block:
        case Genesis():
            return f"{len(block.participants)} participants, {block.settings.get('topology')}"
        case Admission():
            return f"{len(block.participants)} joined"
        case Deposit():
            turns = sum(len(terms.trainers) for terms in block.lanes)
            return f"cycle {block.cycle}, {turns} hops in {len(block.lanes)} lanes"
        case Commitment():
            claims = [claim for lane in block.lanes for claim in lane]
            return f"{sum(c.fault is None for c in claims)} candidates of {len(claims)} hops"
        case Testing():
            return f"{len(block.models)} models by {len(block.committee)} examiners"
        case Settlement():
            hops = [hop for lane in block.lanes for hop in lane.hops]
            kept = sum(hop.outcome == Outcome.ACCEPTED for hop in hops)
            return f"{kept} of {len(hops)} hops accepted, {len(block.payments)} payments"
        case Publication():
            return f"champion {block.champion[:12]}"


def balances_table(steps: Iterable[Step]) -> Table:
    """Everybody's standing after the last block."""
    for step in steps:
        who = step.state.who
    table = Table(title=f"after block {step.sealed.index}")
    table.add_column("participant", no_wrap=True, min_width=15)
    for name in ("coins", "locked", "bond", "debt", "accepted", "rejected", "examined"):
        table.add_column(name, justify="right")
    columns = zip(
        who.names, who.coins.tolist(), who.locked.tolist(), who.bond.tolist(), who.debt.tolist(),
        who.accepted.tolist(), who.rejected.tolist(), who.examined.tolist(), strict=True,
    )  # fmt: skip
    for name, coins, locked, bond, debt, *counts in columns:
        table.add_row(
            _cell(short_name(name)), _coins(coins), _coins(locked), f"{bond:.3f}", f"{debt:.2f}",
            *(str(count) for count in counts),
        )  # fmt: skip
    return table


def statement_table(steps: Iterable[Step], participant: str) -> Table:
    """Everything that moved for one participant, and what it had after each.

    Raises
    ------
    LedgerError
        When nobody has that name; with those that there are.
    """
    table = Table("round", "what", title=_cell(participant))
    for name in ("coins", "balance", "locked"):
        table.add_column(name, justify="right")
    balance = locked = 0
    names: list[str] = []
    for step in steps:
        names = step.state.who.names
        if participant not in names:
            continue
        for rule, units in _moves(step.block, names.index(participant)):
            to_balance, to_locked = effect_of(rule)
            balance += to_balance * units
            locked += to_locked * units
            shown = -units if rule in (PaymentRule.DEPOSIT, PaymentRule.FORFEIT) else units
            cells = (_coins(shown), _coins(balance), _coins(locked))
            table.add_row(str(step.state.round), _cell(rule), *cells)
    if participant not in names:
        those = legible(", ".join(names), 2000)
        raise LedgerError(f"nobody is called {participant!r}; there are: {those}.")
    return table


def _moves(block: Block, participant: int) -> Iterator[tuple[PaymentRule, int]]:
    """What a block moves for a participant: rules, and units under each."""
    match block:
        case Deposit():
            for terms in block.lanes:
                stakes = [*zip(terms.trainers, terms.deposits, strict=True)]
                if terms.owner is not None:
                    stakes.append((terms.owner, terms.owner_deposit))
                locked = [units for index, units in stakes if index == participant and units]
                yield from ((PaymentRule.DEPOSIT, units) for units in locked)
        case Settlement():
            for payment in block.payments:
                if payment.participant == participant:
                    yield payment.rule, payment.units


def _coins(units: int) -> str:
    return f"{to_coins(units):.9f}"

"""`flower-relay ledger`: verify a run's ledger, and read it.

RUN is a run's folder, its ledger's file or `postgresql://USER@HOST/DATABASE#RUN`. Exit
code 0 says that all holds, 1 that something does not. RUN may be from anybody: what it holds
is shown as text that does nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import click
import typer
from rich.console import Console
from rich.text import Text

from ..errors import LedgerError, RelayError
from ..legible import legible
from .address import masked
from .export import export_ledger
from .forks import Proof, Receipts, proof_in, write_proof
from .forks import compare as compared
from .heads import heads_in, is_of_heads, parting, write_heads
from .keys import OperatorKey
from .lineage_view import draw_family, family_tree, read_family
from .reading import Step, steps
from .receipts import (
    check_receipt,
    make_receipt,
    read_receipt,
    what_it_proves,
    write_receipt,
)
from .sealed import MOST_CHARACTERS, SealedBlock
from .shown import against
from .sql_chain import read_sealed
from .tables import NOT_PROVED, balances_table, blocks_table, statement_table, verdict_table
from .verify import verify_run

__all__ = ["app"]

_Options = ParamSpec("_Options")


def _command(function: Callable[_Options, None]) -> Callable[_Options, None]:
    """A command that ends in a message, whatever the ledger holds."""

    @wraps(function)
    def command(*args: _Options.args, **options: _Options.kwargs) -> None:
        try:
            function(*args, **options)
        except (RelayError, BrokenPipeError, click.exceptions.Exit, click.ClickException):
            raise
        except Exception as problem:  # nothing was verified: it may hold whatever breaks a rule
            raise LedgerError(
                f"this cannot be shown ({type(problem).__name__}: {legible(str(problem))}). "
                "Nothing was changed; `flower-relay ledger verify RUN` says what is wrong with "
                "the ledger."
            ) from problem

    return app.command(function.__name__.rstrip("_").replace("_", "-"))(command)


app = typer.Typer(no_args_is_help=True, help="Verify a run's ledger, and read it.")

_Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="the run's folder, its ledger.db, or postgresql://…/DATABASE#RUN"
    ),
]
_Trust = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="the operator's public key (hex), known from elsewhere"),
]


@_command
def verify(
    run: _Run,
    trust: _Trust = None,
    receipt: Annotated[
        Path | None, typer.Option(help="an earlier receipt, whose blocks must still be there")
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="the hash of a last block that was noted earlier")
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="the folder of models; by default the one in RUN")
    ] = None,
) -> None:
    """Check hashes, signatures and model files, and decide everything again by the rules."""
    verdict = verify_run(
        read_sealed(run),
        models=models or _models_of(run),
        trust=trust,
        receipt=None if receipt is None else read_receipt(receipt),
        head=head,
    )
    console = _console()
    console.print(verdict_table(verdict))
    for problem in verdict.problems:
        console.print(Text(f"✗ {problem}", style="bold red"), soft_wrap=True)
    if verdict.note:
        console.print(Text(verdict.note), soft_wrap=True)
    console.print(Text(NOT_PROVED), soft_wrap=True)
    if not verdict.ok:
        raise typer.Exit(1)
    console.print(Text("✓ everything holds", style="bold green"))


@_command
def show(
    run: _Run,
    block: Annotated[int | None, typer.Option(min=0, help="one block, whole")] = None,
) -> None:
    """List the blocks, or show one of them as it is stored."""
    console = _console()
    if block is None:
        console.print(blocks_table(_steps(run)))
        return
    for sealed in read_sealed(run):
        if sealed.index == block:
            _print_block(console, sealed)
            return
    raise LedgerError(
        f"expected a block {block} in {masked(run)}, found none. Nothing was changed; "
        "`flower-relay ledger show RUN` lists the blocks that there are."
    )


@_command
def balance(
    run: _Run,
    participant: Annotated[str | None, typer.Argument(help="name of one participant")] = None,
) -> None:
    """Show everybody's standing, or all that ever moved for one participant."""
    found = _steps(run)
    table = balances_table(found) if participant is None else statement_table(found, participant)
    _console().print(table)


@_command
def lineage(
    run: _Run,
    model: Annotated[str | None, typer.Argument(help="beginning of a model's hash")] = None,
    svg: Annotated[Path | None, typer.Option(help="draw it into this file, too")] = None,
) -> None:
    """Show who descends from whom: all recognised models, or one and its ancestors."""
    family = read_family(read_sealed(run), model)
    console = _console()
    console.print(family_tree(family), soft_wrap=True)
    if svg is not None:
        draw_family(family, svg)
        console.print(Text(legible(str(svg))), soft_wrap=True)


@_command
def receipt(
    run: _Run,
    participant: Annotated[str, typer.Argument(help="whom it is for")],
    key: Annotated[
        Path | None,
        typer.Option(help="file of the operator's key; by default operator.key beside the runs"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="file; by default receipt-PARTICIPANT.json")
    ] = None,
) -> None:
    """Sign a receipt: what a participant owns, with the proof that the ledger says so."""
    made = make_receipt(read_sealed(run), participant, OperatorKey.load(key or _key_beside(run)))
    path = out or Path(f"receipt-{participant.replace('/', '_')}.json")
    write_receipt(made, path)
    where = legible(str(path))
    _console().print(Text(f"round {made.round}, block {made.block}: {where}"), soft_wrap=True)


@_command
def check_receipt_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="the receipt")],
    trust: _Trust = None,
    run: Annotated[
        str | None, typer.Option(metavar="RUN", help="a ledger, which must still hold its blocks")
    ] = None,
) -> None:
    """Check a receipt; it needs no ledger, and finds out one that was rewritten."""
    found = read_receipt(file)
    blocks = None if run is None else read_sealed(run)
    console = _console()
    if (problem := check_receipt(found, trust=trust, blocks=blocks)) is not None:
        console.print(Text(f"✗ {problem}", style="bold red"), soft_wrap=True)
        raise typer.Exit(1)
    console.print(
        Text(
            f"✓ after round {found.round} {legible(found.participant)} had {found.balance} units "
            f"(10⁻⁹ coins), {found.locked} more locked, and a bond of {found.bond:g}; signed by "
            f"{legible(found.operator)}"
            + ("." if trust else ", a key that only --trust can vouch for.")
        ),
        soft_wrap=True,
    )
    if run is None:
        console.print(Text(what_it_proves()), soft_wrap=True)


@_command
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="a run, a receipt, or heads")],
    b: Annotated[str, typer.Argument(metavar="B", help="another of that kind, or a run")],
    out: Annotated[
        Path, typer.Option(help="file for the proof, where they contradict each other")
    ] = Path("proof.json"),
) -> None:
    """Compare two ledgers, two receipts, or what a participant was shown with another's or a run.

    Exit code 1 with a proof if they contradict each other. The proof is a file that anyone can
    check: `flower-relay ledger proof FILE`.
    """
    console = _console()
    found, said = _compared(a, b)
    proved = None if found is None else found.proves()
    if found is None or proved is None:
        console.print(Text(f"✓ {said}", style="bold green"), soft_wrap=True)
        return
    write_proof(found, out)
    console.print(Text(f"✗ {proved}", style="bold red"), soft_wrap=True)
    console.print(Text(f"The proof is in {legible(str(out))}."), soft_wrap=True)
    raise typer.Exit(1)


@_command
def proof(file: Annotated[Path, typer.Argument(metavar="FILE", help="the proof")]) -> None:
    """Check a proof that an operator contradicts itself; it needs no ledger."""
    proved = proof_in(file).proves()
    if proved is None:
        _console().print(Text("✗ this proves nothing", style="bold red"))
        raise typer.Exit(1)
    _console().print(Text(f"✓ it is proved: {proved}", style="bold green"), soft_wrap=True)


def _compared(a: str, b: str) -> tuple[Proof | None, str]:
    """A proof that two of a kind contradict each other, where they do; else what they are."""
    kinds = [_kind(each) for each in (a, b)]
    if {*kinds} == {_HEADS, _LEDGER}:
        shown, ledger = (a, b) if kinds[0] == _HEADS else (b, a)
        found = against(heads_in(Path(shown)), read_sealed(ledger))
        return found.proof, found.told
    if kinds[0] != kinds[1]:
        raise LedgerError(
            f"{masked(a)} is {kinds[0]} and {masked(b)} {kinds[1]}: expected two of a kind, "
            "or what was shown and a run. Nothing was compared; `flower-relay ledger "
            "check-receipt FILE --run RUN` compares a receipt and a run."
        )
    if kinds[0] == _HEADS:
        pairs = heads_in(Path(a)), heads_in(Path(b))
        alike = len(set(pairs[0]) & set(pairs[1]))
        return parting(*pairs), f"{alike} heads are the same, and none contradicts another"
    if kinds[0] == _RECEIPT:
        pair = Receipts(receipts=(read_receipt(Path(a)), read_receipt(Path(b))))
        return pair, "no contradiction: two receipts that can both be true"
    comparison = compared(read_sealed(a), read_sealed(b))
    said = f"{comparison.common} blocks are the same"
    if comparison.forked and comparison.fork is None:
        said = f"{said}, and then they are ledgers of two operators or two runs"
    elif comparison.lengths[0] != comparison.lengths[1]:
        said += ", and one goes on after them"
    return comparison.fork, said


_HEADS, _RECEIPT, _LEDGER = "what a participant was shown", "a receipt", "a run"


def _kind(name: str) -> str:
    if is_of_heads(name):
        return _HEADS
    return _RECEIPT if name.endswith(".json") else _LEDGER


@_command
def heads(
    memory: Annotated[
        Path, typer.Argument(metavar="MEMORY", help="the .memory file beside a participant's key")
    ],
    out: Annotated[Path, typer.Option(help="file for them")] = Path("shown.heads"),
) -> None:
    """Take from a participant's memory the heads that it was shown, to compare with another's.

    Hand on this file, and never the memory: that one holds nonces which nobody may know yet.
    """
    write_heads(heads_in(memory), out)
    _console().print(Text(legible(str(out))), soft_wrap=True)


@_command
def export(run: _Run, out: Annotated[Path, typer.Option(help="folder")]) -> None:
    """Write the blocks as JSON Lines, and balances and hops as Parquet."""
    for path in export_ledger(read_sealed(run), out):
        _console().print(Text(str(path)), soft_wrap=True)


def _print_block(console: Console, sealed: SealedBlock) -> None:
    """A block as it is stored, in ASCII as its body is; what is no JSON as far as it prints."""
    stored = asdict(sealed)
    text = stored.pop("body")
    for part in (json.dumps(stored), text):
        try:
            spelled = json.dumps(json.loads(part[: MOST_CHARACTERS + 1]), indent=2)
        except (ValueError, RecursionError):
            spelled = legible(part, 2000)
        console.print(Text(spelled.replace("\x7f", "\\u007f")), soft_wrap=True)


def _console() -> Console:
    """Made when it is needed: whoever redirects the output has done so by then."""
    return Console(highlight=False)


def _steps(run: str) -> Iterator[Step]:
    return steps(read_sealed(run))


def _folder_of(run: str) -> Path | None:
    """The run's folder, where RUN is on this machine's disk."""
    if "://" in run:
        return None
    return Path(run) if os.path.isdir(run) else Path(run).parent


def _models_of(run: str) -> Path | None:
    """A run's folder has models, even where somebody took them away; a lone file may not."""
    if (folder := _folder_of(run)) is None:
        return None
    models = folder / "models"
    return models if os.path.isdir(run) or os.path.isdir(models) else None


def _key_beside(run: str) -> Path:
    folder = _folder_of(run)
    if folder is None:
        raise LedgerError(
            "expected --key FILE with the operator's key, found none: beside "
            f"{masked(run)} there are no files. Nothing was signed."
        )
    return folder.absolute().parent / "operator.key"

"""Ledgers that no run wrote, well sealed, and what the commands say of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from flower_relay.ledger import OperatorKey, read_sealed
from flower_relay.ledger.cli import app
from flower_relay.ledger.verify import Verdict, verify_run
from tests.forgeries import small_run
from tests.mutants import resealed, write_ledger


def true_run(folder: Path) -> tuple[Path, OperatorKey, list[str]]:
    """A run's folder, its operator's key, and the bodies of its blocks."""
    key = small_run(folder)
    return folder, key, [sealed.body for sealed in read_sealed(folder)]


def made_folder(folder: Path, key: OperatorKey, bodies: Sequence[str]) -> Path:
    """A run's folder made from texts, well sealed."""
    (folder / "models").mkdir(parents=True)
    write_ledger(folder / "ledger.db", list(resealed(bodies, key)))
    return folder


def verdict_on(folder: Path) -> Verdict:
    return verify_run(read_sealed(folder), models=folder / "models")


def place_of(folder: Path) -> tuple[int | None, str, str]:
    problem = verdict_on(folder).first_problem
    assert problem is not None
    return problem.block, problem.field, str(problem)


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])

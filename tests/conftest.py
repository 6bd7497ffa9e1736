"""What every test begins with, and the fixtures that several files share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from flower_relay.transport.adapter import identify_process

if TYPE_CHECKING:
    from flower_relay.ledger import OperatorKey
    from flower_relay.mechanism.blocks import Block

identify_process(1)

# A slow or shared machine is no fault of a test.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _flowers_logger() -> Iterator[None]:
    """Experiments turn it down for their process, which the tests share."""
    logger = logging.getLogger("flwr")
    level = logger.level
    yield
    logger.setLevel(level)


# What several files begin with; each file that asks has its own.


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which participants who sign keep their keys."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def ledger(keys: Path) -> list[Block]:
    """The blocks of a short run in which everybody signs and nobody cheats."""
    from tests.signers import descending, play

    return list(play(descending(), keys).chain)


@pytest.fixture(scope="module")
def true(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, OperatorKey, list[str]]:
    """A run's folder, its operator's key, and the bodies of its blocks."""
    from tests.false_ledgers import true_run

    return true_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def make(true: tuple[Path, OperatorKey, list[str]], tmp_path: Path) -> Callable[..., Path]:
    """Makes a run's folder from texts, by default those of the true run."""
    from tests.false_ledgers import made_folder

    def made(bodies: Sequence[str] | None = None) -> Path:
        _, key, real = true
        return made_folder(tmp_path / "run", key, real if bodies is None else bodies)

    return made

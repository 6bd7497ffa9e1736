"""The line-up: relay, the paper's fan-out, rings, Flower's own strategies, two rivals more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.serverapp.strategy import (
    FedAdam,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedProx,
    FedTrimmedAvg,
    MultiKrum,
    Strategy,
)

from flower_relay import MemoryChain, RelayObserver, RelaySettings, RelayStrategy
from flower_relay.ledger import OperatorKey
from flower_relay.run_folder import RunFolder
from strategies.rivals import DaisyChain, Scaffold
from strategies.settings import RunSettings

__all__ = ["STRATEGIES", "build_strategy"]

Observers = tuple[RelayObserver, ...]
Builder = Callable[[RunSettings, Observers, Path | None], Strategy]


def beginning(seed: int) -> tuple[str, OperatorKey]:
    """The run id and the operator's key of a run in memory: a cell is played alike each time."""
    key = Ed25519PrivateKey.from_private_bytes(sha256(b"line-up").digest())
    return sha256(f"line-up {seed}".encode()).hexdigest(), OperatorKey(key)


def _of(
    run: RunSettings,
    settings: RelaySettings,
    observers: Observers,
    folder: Path | None,
) -> RelayStrategy:
    if folder is None:
        run_id, key = beginning(settings.seed)
        return RelayStrategy(
            settings, observers=observers, run_id=run_id, chain=lambda: MemoryChain(key)
        )
    kept = RunFolder(folder)
    return RelayStrategy(
        settings,
        observers=observers,
        chain=kept.chain,
        store=kept.store,
        resume=bool(run.resume),
    )


def _relay(run: RunSettings, observers: Observers, folder: Path | None) -> Strategy:
    return _of(run, run.relay, observers, folder)


def _fan_out(run: RunSettings, observers: Observers, folder: Path | None) -> Strategy:
    """The paper's: one hop a round, top share recognised, a coin per ancestor, no trail."""
    settings = replace(run.relay, topology="fan-out", rewards="royalty", trail=0.0)
    return _of(run, settings, observers, folder)


def _cyclic(run: RunSettings, observers: Observers, folder: Path | None) -> Strategy:
    """An untested ring in an order shuffled anew each cycle, as other frameworks have it."""
    settings = replace(run.relay, topology="chain", lanes=1, max_leg=1, examiners=0, trail=0.0)
    return _of(run, settings, observers, folder)


def _untested(run: RunSettings, observers: Observers, folder: Path | None) -> Strategy:
    """The relay without its gate: nobody examines, the trail is published all the same."""
    settings = replace(run.relay, topology="chain", examiners=0)
    return _of(run, settings, observers, folder)


def _averaging(strategy: Callable[..., Strategy], *keys: str, **renamed: str) -> Builder:
    """A builder for one of Flower's strategies, with the run-config keys that it takes."""

    def build(run: RunSettings, observers: Observers, folder: Path | None) -> Strategy:
        options: dict[str, Any] = {name: run.config[key] for name, key in renamed.items()}
        options |= {key.replace("-", "_"): run.config[key] for key in keys}
        return strategy(
            fraction_train=run.config["fraction-train"],
            fraction_evaluate=run.config["fraction-evaluate"],
            min_available_nodes=run.config["min-available-nodes"],
            **options,
        )

    return build


STRATEGIES: dict[str, Builder] = {
    "relay": _relay,
    "relay-untested": _untested,
    "relay-fanout": _fan_out,
    "cyclic": _cyclic,
    "fedavg": _averaging(FedAvg),
    "fedprox": _averaging(FedProx, "proximal-mu"),
    "fedavgm": _averaging(FedAvgM, "server-learning-rate", "server-momentum"),
    "fedadam": _averaging(FedAdam, "eta", beta_1="server-momentum"),
    "scaffold": _averaging(Scaffold, "server-learning-rate"),
    "daisychain": _averaging(DaisyChain, "average-every"),
    "fedmedian": _averaging(FedMedian),
    "fedtrimmedavg": _averaging(FedTrimmedAvg, beta="trim"),
    "multikrum": _averaging(MultiKrum, "num-malicious-nodes", "num-nodes-to-select"),
}


def build_strategy(
    run: RunSettings, observers: Iterable[RelayObserver], folder: Path | None
) -> Strategy:
    """The strategy that a run asks for.

    A relay keeps its ledger and models in the run's folder; without one, in memory.
    """
    return STRATEGIES[run.strategy](run, tuple(observers), folder)

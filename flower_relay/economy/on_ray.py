"""Economies on Ray: the only module that starts it, and only when there is work for it."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

from ..errors import ConfigurationError, RelayError
from .settings import EconomySettings
from .study import figures_of

__all__ = ["play_on_ray"]

_AHEAD = 4
"""Economies handed to Ray at once, per CPU: none is idle, and waiting stays cheap."""

_PATIENCE = 10.0
"""Seconds for a cluster to answer. Ray itself would go on asking for many minutes."""


def play_on_ray(
    economies: Sequence[EconomySettings], address: str | None = None
) -> Iterator[tuple[EconomySettings, dict[str, float]]]:
    """Play economies, yielding the figures of each as it ends.

    Parameters
    ----------
    economies : sequence of EconomySettings
    address : str, optional
        Of a Ray cluster whose machines have this library; by default Ray is started here,
        and ended.

    Raises
    ------
    ConfigurationError
        Without Ray, or when no cluster answers.
    RelayError
        When Ray cannot play one of them, naming it.
    """
    ray = _imported()
    with _started(ray, address):
        play = ray.remote(figures_of)
        at_once = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        todo = iter(economies)
        waiting = {}
        while True:
            for one in todo:
                waiting[play.remote(one)] = one
                if len(waiting) >= at_once:
                    break
            if not waiting:
                return
            ready, _ = ray.wait(list(waiting))
            for reference in ready:
                one = waiting.pop(reference)
                try:
                    figures: dict[str, float] = ray.get(reference)
                except ray.exceptions.RayError as problem:
                    raise RelayError(
                        f"Ray could not play {one}: {problem}. What was finished before is kept; "
                        "the same command goes on from there."
                    ) from problem
                yield one, figures


def _imported() -> ModuleType:
    try:
        import ray
    except ImportError:
        raise ConfigurationError(
            "sweeps run on Ray, which is not installed: pip install 'flower-relay[simulation]'."
        ) from None
    return ray


@contextmanager
def _started(ray: ModuleType, address: str | None) -> Iterator[None]:
    """Ray up and running; ended again if it was us who started it."""
    if ray.is_initialized():
        yield
        return
    if address is not None:
        _call(address)
    # Else Ray prints a tip about accelerators, which economies do not use.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(
            # "local" and not None, which joins any Ray that happens to run on this machine.
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except ConnectionError as problem:
        raise _nobody(address, problem) from problem
    try:
        yield
    finally:
        ray.shutdown()


def _call(address: str) -> None:
    """Make sure that somebody listens where the cluster should be."""
    place = re.fullmatch(r"(?:ray://)?(?P<host>[^/:]+):(?P<port>\d+)", address)
    if place is None:  # such as "auto": Ray knows where
        return
    try:
        socket.create_connection((place["host"], int(place["port"])), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as problem:
        raise _nobody(address, problem) from problem


def _nobody(address: str | None, problem: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"address = {address!r}: no Ray cluster answers there ({problem}); expected HOST:PORT as "
        "`ray start --head` prints it, or none to run Ray here. What was finished is kept."
    )

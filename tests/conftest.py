"""What every test begins with: Flower's logger at its own level, and messages that can be made."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from flower_relay.transport.adapter import identify_process

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

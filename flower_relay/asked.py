"""What a relay's server asks of a node, read from a message's config."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flwr.app import ConfigRecord, MetricRecord, RecordDict

from .errors import RefusedError
from .rules.testing import bounded_utility
from .statements import is_hash

__all__ = ["Measure", "hashes", "measure", "text", "whole_number"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How a reply's metric becomes the utility that votes."""

    metric: str
    bound: float
    rises: bool

    def of(self, content: RecordDict) -> float | None:
        """The bounded utility; None where the metric is not reported."""
        for record in content.values():
            value = record.get(self.metric) if isinstance(record, MetricRecord) else None
            if isinstance(value, int | float):
                return bounded_utility(float(value), self.bound, self.rises)
        return None


def measure(config: ConfigRecord) -> Measure | None:
    """What the server wants measured; nothing before the run has a bound."""
    if "relay-utility-key" not in config:
        return None
    bound, rises = config.get("relay-bound"), config.get("relay-rises")
    if not isinstance(bound, int | float) or not (math.isfinite(bound) and bound > 0):
        raise _misread("relay-bound", "a positive number", bound)
    if not isinstance(rises, bool):
        raise _misread("relay-rises", "true or false", rises)
    return Measure(metric=text(config, "relay-utility-key"), bound=float(bound), rises=rises)


def text(config: ConfigRecord, name: str) -> str:
    """A text that is not empty."""
    value = config.get(name)
    if not isinstance(value, str) or not value:
        raise _misread(name, "a text that is not empty", value)
    return value


def hashes(config: ConfigRecord, name: str) -> list[str]:
    """A list of hashes.

    Raises
    ------
    RefusedError
        When it is something else.
    """
    value = config.get(name)
    if not isinstance(value, list) or not all(map(is_hash, value)):
        raise _misread(name, "a list of hashes", value)
    return [str(each) for each in value]


def whole_number(config: ConfigRecord, name: str) -> int:
    """A whole number."""
    value = config.get(name)
    if type(value) is not int:
        raise _misread(name, "a whole number", value)
    return value


def _misread(name: str, expected: str, found: object) -> RefusedError:
    return RefusedError(
        f"{name} in the server's config: expected {expected}, found {found!r}. Nothing was "
        "signed; server and node need versions of flower_relay that agree."
    )

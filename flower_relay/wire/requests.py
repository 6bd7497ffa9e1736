"""What a relay's server asks of a node, read from a message's config."""

from __future__ import annotations

import math
import reprlib
import secrets
from dataclasses import dataclass

from flwr.app import ConfigRecord, MetricRecord, RecordDict

from ..errors import RefusedError
from ..mechanism.identity import is_hash
from ..rules.votes import bounded_utility
from .statements import Hello

__all__ = [
    "hello_terms",
    "hop_terms",
    "new_hello",
    "vote_terms",
    "Measure",
    "brief",
    "hash_named",
    "hashes",
    "measure",
    "text",
    "whole_number",
]

_LONGEST_TEXT = 1000
"""Characters of a text; keys, hashes and challenges are far shorter."""

_MOST_HASHES = 256
"""Models that a message may name; a test of the longest leg is of some twenty."""

_LARGEST_NUMBER = 2**53
"""Whole numbers up to here are the same in every language that reads a ledger."""


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
                return bounded_utility(_as_float(value), self.bound, self.rises)
        return None


def _as_float(value: int | float) -> float:
    """A number; infinite where it is larger than any float."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def measure(config: ConfigRecord) -> Measure | None:
    """What the server wants measured; nothing before the run has a bound."""
    if "relay-utility-key" not in config:
        return None
    bound, rises = config.get("relay-bound"), config.get("relay-rises")
    size = _as_float(bound) if isinstance(bound, int | float) else 0.0
    if isinstance(bound, bool) or not 0 < size < math.inf:
        raise _misread("relay-bound", "a positive number", bound)
    if not isinstance(rises, bool):
        raise _misread("relay-rises", "true or false", rises)
    return Measure(metric=text(config, "relay-utility-key"), bound=size, rises=rises)


def text(config: ConfigRecord, name: str) -> str:
    """A text that is not empty, and of at most a thousand characters."""
    value = config.get(name)
    if not isinstance(value, str) or not value or len(value) > _LONGEST_TEXT:
        raise _misread(
            name, f"a text that is not empty nor above {_LONGEST_TEXT} characters", value
        )
    return value


def hash_named(config: ConfigRecord, name: str) -> str:
    """A hash."""
    value = config.get(name)
    if not is_hash(value):
        raise _misread(name, "a hash", value)
    return str(value)


def hashes(config: ConfigRecord, name: str) -> list[str]:
    """A list of one hash or more, at most 256.

    Raises
    ------
    RefusedError
        When it is something else.
    """
    value = config.get(name)
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_HASHES:
        raise _misread(name, f"a list of 1 to {_MOST_HASHES} hashes", value)
    if not all(map(is_hash, value)):
        raise _misread(name, "a list of hashes", value)
    return [str(each) for each in value]


def whole_number(config: ConfigRecord, name: str) -> int:
    """A whole number from 0 to 2^53."""
    value = config.get(name)
    if type(value) is not int or not 0 <= value <= _LARGEST_NUMBER:
        raise _misread(name, "a whole number from 0 to 2^53", value)
    return value


class _Briefly(reprlib.Repr):
    """Shortens a value before it is written out, which for a large one costs much."""

    def repr_bytes(self, value: bytes, level: int) -> str:
        return f"{len(value)} bytes"

    def repr_int(self, value: int, level: int) -> str:
        return repr(value) if abs(value) <= _LARGEST_NUMBER else "a number beyond 2^53"


_BRIEFLY = _Briefly()
_BRIEFLY.maxlist, _BRIEFLY.maxstring, _BRIEFLY.maxother = 3, 80, 80


def brief(value: object) -> str:
    """Any value of a message, as an error shows it."""
    return _BRIEFLY.repr(value)


def _misread(name: str, expected: str, found: object) -> RefusedError:
    return RefusedError(
        f"{name} in the server's config: expected {expected}, found {brief(found)}. Nothing was "
        "signed; server and node need versions of flower_relay that agree."
    )


Terms = dict[str, int | float | str | bool]
"""What the config of a message holds for the mod."""


def new_hello(run: str) -> Hello:
    """A challenge that nobody has seen before."""
    return Hello(run=run, challenge=secrets.token_hex(32))


def hello_terms(hello: Hello) -> Terms:
    """Asks who is there; a ClientApp without the mod takes no notice."""
    return {"relay-run": hello.run, "relay-hello": hello.challenge}


def hop_terms(run: str, parent: str, encoding: str) -> Terms:
    """Asks a node with the mod to sign a hop and to hand it on as a difference.

    Parameters
    ----------
    run, parent : str
        Hashes of the run's genesis block and of the model that is trained on.
    encoding : str
        How the difference is spelled (`hop_encoding`).
    """
    return {"relay-run": run, "relay-parent": parent, "relay-up": encoding}


def vote_terms(run: str, measure: Measure) -> Terms:
    """Asks a node with the mod to sign a vote."""
    return {
        "relay-run": run,
        "relay-utility-key": measure.metric,
        "relay-bound": measure.bound,
        "relay-rises": measure.rises,
    }

"""What a relay's server asks of a node, read from a message's config."""

from __future__ import annotations

import math
import reprlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from flwr.app import ConfigRecord, RecordDict

from ..errors import RefusedError
from ..mechanism.identity import is_hash
from .heads import LINK, MOST_LINKS
from .metrics import merged, number_of
from .statements import Head, Measured, Moment, check

__all__ = [
    "Shown",
    "brief",
    "hash_named",
    "hashes",
    "head_terms",
    "measured",
    "metric_named",
    "new_challenge",
    "shown",
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
class Shown:
    """The moment that a message speaks of, and the chain's head as the operator signed it.

    `links` lead to the head from that of a chain with so many fewer blocks.
    """

    at: Moment
    height: int
    signature: str
    links: tuple[str, ...]


def shown(config: ConfigRecord) -> Shown:
    """What a message says of the chain, which is the operator's own word.

    Raises
    ------
    RefusedError
        When it is incomplete, or the operator did not sign it.
    """
    operator, run, head = (hash_named(config, f"relay-{name}") for name in _NAMED)
    height, round = whole_number(config, "relay-height"), whole_number(config, "relay-round")
    signature = text(config, "relay-head-signature")
    if not check(operator, Head(operator=operator, run=run, height=height, head=head), signature):
        raise RefusedError(
            f"relay-head-signature: expected the signature of operator {operator[:12]} under head "
            f"{head[:12]} of run {run[:12]}, found another. Nothing was signed: who sent the "
            "message does not hold the operator's key, or it was changed on its way."
        )
    data = config.get("relay-links", b"")
    if not isinstance(data, bytes) or len(data) % LINK or len(data) > MOST_LINKS * LINK:
        raise _misread("relay-links", f"at most {MOST_LINKS} links of {LINK} bytes", data)
    links = tuple(data[place : place + LINK].hex() for place in range(0, len(data), LINK))
    at = Moment(operator=operator, run=run, round=round, head=head)
    return Shown(at=at, height=height, signature=signature, links=links)


_NAMED = ("operator", "run", "head")


def measured(content: RecordDict, metric: str) -> Measured | None:
    """What a reply reports under a metric; None where it does not report it.

    The standard error is what is called as the metric with `-stderr` after it, and the number of
    cases is `num-examples`.
    """
    found = merged(content)
    value, error, cases = found.get(metric), found.get(f"{metric}-stderr"), found.get(_CASES)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    deviation = _finite(error)
    return Measured(
        value=_finite(value),
        error=deviation if deviation is not None and deviation >= 0 else None,
        cases=cases if type(cases) is int and 0 <= cases <= _LARGEST_NUMBER else None,
    )


_CASES = "num-examples"


def _finite(value: object) -> float | None:
    """A number as a float; None where it is none, or none that a float can be."""
    number = number_of(value)
    return number if number is not None and math.isfinite(number) else None


def metric_named(config: ConfigRecord) -> str | None:
    """The metric that the server wants measured; there is none before a run has begun."""
    return text(config, "relay-metric") if "relay-metric" in config else None


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


Terms = dict[str, int | float | str | bool | bytes]
"""What the config of a message holds for the mod."""


def new_challenge() -> str:
    """A challenge that nobody has seen before."""
    return secrets.token_hex(32)


def head_terms(head: Head, signature: str, round: int, links: Sequence[str]) -> Terms:
    """Says which run of which operator a message is of, and how far its chain is."""
    terms: Terms = {
        "relay-operator": head.operator,
        "relay-run": head.run,
        "relay-head": head.head,
        "relay-height": head.height,
        "relay-head-signature": signature,
        "relay-round": round,
    }
    return terms | ({"relay-links": bytes.fromhex("".join(links))} if links else {})

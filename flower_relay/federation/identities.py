"""Names that nodes report for themselves, where they have no key to be known by.

A name stands for one device from one start to the next, and its coins with it. So two
devices must never get one name by the way that it is printed, and a name is short text that
people can read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flwr.app import ConfigRecord, Message, MetricRecord

from ..mechanism.parsing import shown

__all__ = ["Identity", "claimed_twice", "identity_told", "known_by_node", "node_name"]

_NODE = "node-"
_LONGEST = 100
_EXACT = 2**53
"""From here on two whole numbers may be one float."""

_MOST_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a reply says of who sent it: a name, or why that is none."""

    name: str | None = None
    unfit: str | None = None


def node_name(node: int) -> str:
    """What a node is called that is known by nothing but its id."""
    return f"{_NODE}{node}"


def identity_told(message: Message, key: str) -> Identity | None:
    """The name that a reply reports under a key of its metrics or configs; None without one."""
    for record in message.content.values():
        if isinstance(record, MetricRecord | ConfigRecord) and key in record:
            return _named(key, record[key])
    return None


def _named(key: str, value: object) -> Identity:
    printed = _printed(value)
    if printed is None:
        return Identity(unfit=shown(value))
    name = f"{key}-{printed}"
    if name.startswith(_NODE):
        return Identity(unfit=f"{shown(value)}, which reads like a node's id")
    return Identity(name=name)


def _printed(value: object) -> str | None:
    """A value in a name, one spelling each; None where it is no identity."""
    # By type: to Python, True is an integer.
    if type(value) is int:
        return str(value) if -(2**63) <= value < 2**64 else None
    if type(value) is float:
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT else None
    if type(value) is str:
        fits = 0 < len(value) <= _LONGEST and value.isprintable() and value == value.strip()
        return value if fits else None
    return None


def claimed_twice(name: str, node: int, holder: int | None) -> str:
    """What the log says where a node reports the name of another."""
    other = "another participant" if holder is None else f"node {holder}"
    return (
        f"Node {node} reports the name {name}, which {other} has already; it is known by its "
        "node id instead, and cannot be told again after a restart. Give every node an identity "
        "of its own; where the same device connected twice, end one of the two."
    )


def known_by_node(unfit: Mapping[str, str | None]) -> str:
    """What the log says where nodes report identities that are no names."""
    some = [f"{name} reports {found}" for name, found in list(unfit.items())[:_MOST_SHOWN]]
    more = len(unfit) - len(some)
    return (
        f"{len(unfit)} nodes report an identity that is none: {'; '.join(some)}"
        f"{f'; and {more} more' if more else ''}. Expected a whole number of at most 64 bits "
        f"(a float below 2**53) or a text of 1 to {_LONGEST} printable characters. They are known "
        "by their node ids, and cannot be told again after a restart."
    )

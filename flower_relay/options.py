"""Settings as documentation: a frozen dataclass whose fields say what they accept.

Each field is declared once, with its default, its meaning and its check; the
constructor, the command line and the tables in the documentation all read that.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from .errors import ConfigurationError

__all__ = [
    "CheckedSettings",
    "at_least",
    "between",
    "either",
    "key",
    "number",
    "one_of",
    "optional",
    "positive",
    "setting",
    "truth",
    "whole",
]

_LARGEST = 2**63
"""Of whole numbers: beyond it nothing calculates with them."""

Check = tuple[Callable[[Any], bool], str]
"""Whether a value will do, and in words which ones do."""


def setting(default: Any, about: str, check: Check | None = None) -> Any:
    """A dataclass field with its default, its meaning and what it accepts."""
    return field(default=default, metadata={"help": about, "check": check})


def whole(low: int, high: int | None = None) -> Check:
    """A whole number, at least `low`, and at most `high` where that is given."""

    def fits(value: Any) -> bool:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return is_whole and low <= value <= (_LARGEST - 1 if high is None else high)

    return fits, (
        f"a whole number, at least {low}" if high is None else f"a whole number, {low} to {high}"
    )


def between(low: float, high: float) -> Check:
    """A number from `low` to `high`."""
    return (lambda v: _is_number(v) and low <= v <= high), f"a number from {low} to {high}"


def at_least(low: float) -> Check:
    """A number, at least `low`."""
    return (lambda v: _is_number(v) and v >= low), f"a number, at least {low}"


def one_of(*names: str) -> Check:
    """One of some names."""
    return (lambda v: v in names), "one of " + ", ".join(names)


def either(one: Check, other: Check) -> Check:
    """What one of two checks accepts."""
    return (lambda v: one[0](v) or other[0](v)), f"{one[1]}, or {other[1]}"


def optional(check: Check) -> Check:
    """None, or what another check accepts."""
    test, expected = check
    return (lambda v: v is None or test(v)), f"{expected}, or nothing"


number: Check = ((lambda v: _is_number(v)), "a number")
truth: Check = ((lambda v: isinstance(v, bool)), "true or false")
positive: Check = ((lambda v: _is_number(v) and v > 0), "a positive number")
key: Check = ((lambda v: isinstance(v, str) and v != ""), "a name that is not empty")


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _LARGEST if isinstance(value, int) else math.isfinite(value)


@dataclass(frozen=True, kw_only=True)
class CheckedSettings:
    """Base of all settings: invalid ones never come into being.

    Raises
    ------
    ConfigurationError
        Naming the setting, what was given and what is possible.
    """

    def __post_init__(self) -> None:
        """Check every value against what its field allows."""
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            check = item.metadata["check"]
            if check is not None and not check[0](value):
                raise ConfigurationError(f"{item.name} = {value!r}: expected {check[1]}.")

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """Build settings from names that may be written with hyphens.

        Parameters
        ----------
        values : Mapping[str, object]
            Setting names (`max-leg` and `max_leg` are the same) to values.

        Raises
        ------
        ConfigurationError
            On a name that does not exist, with the list of those that do.
        """
        known = {item.name for item in dataclasses.fields(cls)}
        options = {name.replace("-", "_"): value for name, value in values.items()}
        unknown = sorted(set(options) - known)
        if unknown:
            raise ConfigurationError(
                f"unknown setting {', '.join(unknown)}; there are: {', '.join(sorted(known))}."
            )
        return cls(**options)

    @classmethod
    def table(cls) -> list[tuple[str, str, str]]:
        """Name, default and meaning of every setting, for the documentation."""
        return [
            (item.name.replace("_", "-"), repr(item.default), item.metadata["help"])
            for item in dataclasses.fields(cls)
        ]

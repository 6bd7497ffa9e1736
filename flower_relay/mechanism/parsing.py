"""Readers of plain values, made from the type hints of frozen dataclasses.

They are strict: every field there that is not marked as unsaid where it is empty, none besides,
each of its own type. What they accept are the types that blocks are made of: texts, members of
enumerations, numbers, truths, dictionaries of such simple values, dataclasses, tuples of any
length, and any of these or None. Numbers are no larger than what is calculated with, and texts
are such as can be written down.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

__all__ = ["UNSAID", "Misfit", "Reader", "reader_of", "shown", "unsaid"]

Reader = Callable[[Any], Any]
"""Gives the value back as its field holds it, or raises Misfit."""


UNSAID = {"unsaid": True}
"""Metadata of a dataclass's field that is not spelled where it is empty."""


def unsaid(kind: type) -> frozenset[str]:
    """The fields of a dataclass that are not spelled where they are empty."""
    return frozenset(field.name for field in fields(kind) if field.metadata.get("unsaid"))


class Misfit(Exception):
    """A value that is not of its field's type; every container on the way adds to the path."""

    def __init__(self, expected: str, found: str) -> None:
        self.expected, self.found = expected, found
        self.path: list[str] = []


_LARGEST = 2**63 - 1
"""Of whole numbers: what a numpy array of them holds."""

_SHORTENED = reprlib.Repr()
_SHORTENED.maxstring = _SHORTENED.maxlong = _SHORTENED.maxother = 200


def shown(value: Any) -> str:
    """A value as a message shows it, however large it is."""
    try:
        text = _SHORTENED.repr(value)
    except ValueError:  # Python prints no integer of more than 4,300 digits
        text = f"a value of type {type(value).__name__} that is too long to print"
    return text if len(text) <= 60 else text[:60] + " …"


def reader_of(hint: Any) -> Reader:
    """What reads a value of a field's type; built once, so that reading asks no types."""
    if is_dataclass(hint) and isinstance(hint, type):
        return _fields_reader(hint)
    if get_origin(hint) is tuple:
        return _tuple_reader(reader_of(get_args(hint)[0]))
    if get_origin(hint) is UnionType:
        inner = [each for each in get_args(hint) if each is not type(None)]
        reader = reader_of(inner[0]) if len(inner) == 1 else _word_reader(*inner)
        return _optional_reader(reader) if len(inner) < len(get_args(hint)) else reader
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _word_reader(hint)
    return _SIMPLE[hint]


def _fields_reader(kind: type) -> Reader:
    readers = {name: reader_of(hint) for name, hint in get_type_hints(kind).items()}
    optional = unsaid(kind)
    required = readers.keys() - optional

    def read(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Misfit(f"the fields of a {kind.__name__}", shown(value))
        if not required <= value.keys() <= readers.keys():
            said = {n: read for n, read in readers.items() if n not in optional or n in value}
            raise _wrong_names(said, value)
        found = {}
        for name, reader in readers.items():
            if name not in value:
                continue
            try:
                found[name] = reader(value[name])
                if name in optional and not found[name]:
                    raise Misfit("no such field where it is empty", shown(value[name]))
            except Misfit as misfit:
                misfit.path.append(f".{name}")
                raise
        return kind(**found)

    return read


def _wrong_names(readers: Mapping[str, Reader], value: Mapping[str, Any]) -> Misfit:
    for name in readers:
        if name not in value:
            misfit = Misfit("a value", "nothing")
            misfit.path.append(f".{name}")
            return misfit
    name = next(name for name in value if name not in readers)
    misfit = Misfit("no such field", shown(value[name]))
    misfit.path.append(f".{name}")
    return misfit


def _tuple_reader(inner: Reader) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise Misfit("a list", shown(value))
        found: list[Any] = []
        try:
            for item in value:
                found.append(inner(item))
        except Misfit as misfit:
            misfit.path.append(f"[{len(found)}]")
            raise
        return tuple(found)

    return read


def _optional_reader(inner: Reader) -> Reader:
    def read(value: Any) -> Any:
        return None if value is None else inner(value)

    return read


def _word_reader(*kinds: type[StrEnum]) -> Reader:
    """Texts as members of enumerations; what comes out of a block may be read again."""
    words = {str(member): member for kind in kinds for member in kind}
    expected = f"one of {', '.join(words)}"

    def read(value: Any) -> Any:
        if not isinstance(value, str) or value not in words:
            raise Misfit(expected, shown(value))
        return words[value]

    return read


def _simple_reader(kind: type, expected: str) -> Reader:
    def read(value: Any) -> Any:
        # By type, not by isinstance: True is an int to Python and another word in JSON.
        if type(value) is not kind:
            raise Misfit(expected, shown(value))
        return value

    return read


def _read_text(value: Any) -> Any:
    if type(value) is not str:
        raise Misfit("a text", shown(value))
    try:
        if not value.isascii():
            value.encode()
    except UnicodeEncodeError:  # half of a character can be spelled in JSON, and nowhere else
        raise Misfit("a text of whole characters", ascii(value[:60])) from None
    return value


def _read_whole(value: Any) -> Any:
    # By type, not by isinstance: True is an int to Python and another word in JSON.
    if type(value) is not int:
        raise Misfit("a whole number", shown(value))
    if not -_LARGEST <= value <= _LARGEST:
        raise Misfit("a whole number of at most 63 bits", shown(value))
    return value


def _read_number(value: Any) -> Any:
    if type(value) is int:
        return _read_whole(value)
    if type(value) is float and math.isfinite(value):
        return value
    raise Misfit("a finite number", shown(value))


def _read_fields(value: Any) -> Any:
    if type(value) is not dict:
        raise Misfit("fields", shown(value))
    for name, each in value.items():
        if each is None or type(each) is bool:
            continue
        try:
            (_read_text if type(each) is str else _read_number)(each)
        except Misfit:
            misfit = Misfit("a text, a number, true, false or null", shown(each))
            misfit.path.append(f".{name}")
            raise misfit from None
    return value


_SIMPLE: dict[Any, Reader] = {
    str: _read_text,
    int: _read_whole,
    bool: _simple_reader(bool, "true or false"),
    float: _read_number,
    dict[str, Any]: _read_fields,
}

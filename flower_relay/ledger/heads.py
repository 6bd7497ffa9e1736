"""Heads of runs as participants were shown them: the operator's own word, signed.

A participant with a key in a file remembers the last of them beside its key. Two participants
who were shown different heads of one run, of as many blocks, hold the proof that the operator
keeps two ledgers; it needs neither ledger. What participants sign themselves would prove
nothing: two of them could agree on a head that there never was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import LedgerError
from ..files.regular import read_regular
from ..legible import legible
from ..mechanism.parsing import Misfit, reader_of
from ..wire.statements import Head, check

__all__ = ["Heads", "ShownHead", "heads_in", "is_of_heads", "parting", "write_heads"]

_LONGEST = 2**26


@dataclass(frozen=True, kw_only=True)
class ShownHead:
    """The operator signed: of my run, the last of so many blocks has this hash."""

    operator: str
    run: str
    height: int
    head: str
    signature: str

    @property
    def signed(self) -> bool:
        """Whether the operator did sign it."""
        stated = {name: value for name, value in asdict(self).items() if name != "signature"}
        return check(self.operator, Head(**stated), self.signature)


@dataclass(frozen=True, kw_only=True)
class Heads:
    """Two heads of one run, of as many blocks: a proof where they differ."""

    heads: tuple[ShownHead, ...]

    def proves(self) -> str | None:
        """What it proves; None where it proves nothing."""
        if len(self.heads) != 2 or not all(head.signed for head in self.heads):
            return None
        one, other = self.heads
        places = {(each.operator, each.run, each.height) for each in self.heads}
        if len(places) != 1 or one.head == other.head:
            return None
        return (
            f"operator {one.operator} showed two ledgers of run {one.run}: it signed that block "
            f"{one.height - 1} is {one.head}, and that it is {other.head}."
        )


def parting(one: Iterable[ShownHead], other: Iterable[ShownHead]) -> Heads | None:
    """The first two heads by which an operator contradicts itself, if there are any."""
    shown = {(head.operator, head.run, head.height): head for head in one}
    for head in sorted(other, key=lambda each: each.height):
        before = shown.get((head.operator, head.run, head.height))
        if before is not None and (found := Heads(heads=(before, head))).proves():
            return found
    return None


def is_of_heads(name: str) -> bool:
    """Whether a file's name is that of a participant's memory, or of heads taken from one."""
    return name.endswith((".memory", ".heads"))


def heads_in(path: Path) -> tuple[ShownHead, ...]:
    """The heads that a participant remembers, or that were taken from its memory.

    Raises
    ------
    LedgerError
        When the file is missing, or holds something else.
    """
    try:
        text = read_regular(path, most=_LONGEST)
        lines = [json.loads(line) for line in text.split(b"\n") if line]
        found = [_READ(values) for values in _in_lines(lines)]
    except OSError as problem:
        raise LedgerError(f"{path} cannot be read: {problem.strerror}.") from problem
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, Misfit) as problem:
        raise LedgerError(
            f"{path} should hold what a participant remembers, or heads as `flower-relay ledger "
            "heads` writes them, and holds something else. Nothing was compared."
        ) from problem
    return tuple(dict.fromkeys(head for head in found if head.signed))


_READ = reader_of(ShownHead)


def _in_lines(lines: list[Any]) -> Iterator[dict[str, Any]]:
    """Heads of the first line, which is the whole, and of the changes after it."""
    whole, *changes = lines
    for run, kept in whole["runs"].items():
        for height, head, signature in kept.get("heads", ()):
            yield {
                "operator": whole["operator"], "run": run,
                "height": height, "head": head, "signature": signature,
            }  # fmt: skip
    for change in changes:
        yield {name: change[name] for name in ("operator", "run", "height", "head", "signature")}


def write_heads(heads: Iterable[ShownHead], path: Path) -> None:
    """Write heads to a file that gives nothing else away, as a memory with its nonces would.

    Raises
    ------
    LedgerError
        When there are none, or the file cannot be written.
    """
    runs: dict[str, Any] = {}
    operator = ""
    for head in heads:
        operator = head.operator
        kept = runs.setdefault(head.run, {"heads": []})["heads"]
        kept.append([head.height, head.head, head.signature])
    if not runs:
        raise LedgerError("this participant was shown no head yet. Nothing was written.")
    try:
        path.write_text(json.dumps({"operator": operator, "runs": runs}) + "\n", "utf-8")
    except OSError as problem:
        raise LedgerError(
            f"the heads cannot be written to {legible(str(path))}: {problem.strerror}. Nothing "
            "was changed; name another file with --out."
        ) from problem

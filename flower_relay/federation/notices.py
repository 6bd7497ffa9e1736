"""What went wrong, said once: by participant and kind, with the first reason.

Nothing that fails is silent, and nothing that fails at every hop fills the log. What a
participant says of itself is cut and cleaned before it is shown: it may be anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from logging import WARNING

from flwr.common import log

from ..legible import legible

__all__ = ["Notice", "Notices"]


@dataclass(kw_only=True)
class Notice:
    """One kind of trouble with one participant: the first reason, and how often it came."""

    who: str
    kind: str
    reason: str
    count: int = 1


@dataclass
class Notices:
    """All notices of a run, each logged when it comes for the first time."""

    all: dict[tuple[str, str], Notice] = field(default_factory=dict)

    def tell(self, who: str, kind: str, reason: str) -> None:
        """Note a trouble; the first of its kind with this participant is logged."""
        name, said = legible(who, 100), legible(" ".join(reason.split()), 400)
        if (name, kind) in self.all:
            self.all[name, kind].count += 1
            return
        self.all[name, kind] = Notice(who=name, kind=kind, reason=said)
        log(WARNING, "%s: %s: %s (said once)", name, kind, said or "no reason given")

    def tell_cast(self, array: str, how: str) -> None:
        """Note that an array's precision was changed: it is no trouble, and said once a run."""
        self.tell("precision", "cast", f"array '{legible(array, 80)}': {how}")

    def of_kind(self, kind: str) -> list[Notice]:
        """The notices of one kind, in the order in which they came."""
        return [notice for notice in self.all.values() if notice.kind == kind]

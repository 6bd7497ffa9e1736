"""What went wrong, said once: by participant and kind, with the first reason.

Nothing that fails is silent, and nothing that fails at every hop fills the log. What a
participant says of itself is cut and cleaned before it is shown: it may be anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from logging import WARNING

from flwr.common import log

__all__ = ["Notice", "Notices", "plain"]

_LONGEST = 400


def plain(text: object, longest: int = _LONGEST) -> str:
    """A text from outside as one printable line of bounded length."""
    whole = str(text)
    line = " ".join(whole[: 4 * longest].split())
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


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

    def tell(self, who: str, kind: str, reason: object) -> None:
        """Note a trouble; the first of its kind with this participant is logged."""
        name, place = plain(who, 80), (plain(who, 80), kind)
        if place in self.all:
            self.all[place].count += 1
            return
        self.all[place] = Notice(who=name, kind=kind, reason=plain(reason))
        log(WARNING, "%s: %s: %s (said once)", name, kind, plain(reason) or "no reason given")

    def of_kind(self, kind: str) -> list[Notice]:
        """The notices of one kind, in the order in which they came."""
        return [notice for notice in self.all.values() if notice.kind == kind]

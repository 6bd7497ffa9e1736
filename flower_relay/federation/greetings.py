"""Newcomers that were greeted and have not been let in yet.

They are greeted beside the relay: nobody waits for their answers. A node that does not answer
is greeted again later, and later each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

__all__ = ["Answer", "Greetings"]

_MOST_DOUBLINGS = 20


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a node's first reply says: its name, and its utility metric if it has one.

    `role` is what it is willing to do, `nonce` the hash of the nonce that it told, if it signs;
    `holds` what it said it holds and `seen` how far it saw the chain, if it runs the mod.
    `unfit` says why what it reported as its identity is no name, `trouble` what became of the
    message where there was no reply.
    """

    node_id: int
    name: str
    role: str
    metric: float | None
    nonce: str | None
    holds: tuple[str, ...] | None
    seen: int | None = None
    found: tuple[str, ...]
    unfit: str | None = None
    trouble: str = ""


@dataclass
class Greetings:
    """Who was greeted and has not answered, who has, and from which round on who is greeted again.

    Attributes
    ----------
    waiting : set of int
        Nodes whose answers are on their way.
    """

    waiting: set[int] = field(default_factory=set)
    _answers: list[Answer] = field(default_factory=list)
    _again: dict[int, int] = field(default_factory=dict)
    _failures: Counter[int] = field(default_factory=Counter)

    def due(self, strangers: Collection[int], round: int) -> list[int]:
        """Those of the strangers who are to be greeted now; they are waited for from now on."""
        nodes = sorted(n for n in set(strangers) - self.waiting if self._again.get(n, 0) <= round)
        self.waiting.update(nodes)
        return nodes

    def take(self, answer: Answer) -> None:
        """A node has answered."""
        self.waiting.discard(answer.node_id)
        self._answers.append(answer)

    def fail(self, node: int, round: int) -> None:
        """A node has not answered; it is greeted again after two rounds, then after four."""
        self.waiting.discard(node)
        self._failures[node] += 1
        self._again[node] = round + 2 ** min(self._failures[node], _MOST_DOUBLINGS)

    def answered(self) -> list[Answer]:
        """Those who have answered since this was last asked."""
        found, self._answers = self._answers, []
        return found

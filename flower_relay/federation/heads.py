"""What nodes with the mod are shown of the chain: its head, signed, and how it grew.

The head travels with every message, and participants sign over it. Links lead to it from the
head that a node saw last, so that a node follows the chain without holding a block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..ledger.chain import canonical_json
from ..ledger.keys import OperatorKey
from ..mechanism.blocks import Block, Commitment
from ..wire.heads import MOST_LINKS, NOTHING_BEFORE, joined
from ..wire.requests import Terms, head_terms
from ..wire.statements import Head, Moment, signed_bytes

__all__ = ["Heads"]


@dataclass(kw_only=True)
class Heads:
    """A chain's links and its head, and how far each node has seen it.

    Parameters
    ----------
    key : OperatorKey
        Signs the heads.
    run : str
        The number that the run drew for itself.

    Attributes
    ----------
    head, committed : str
        What nodes are shown, and the hash of the last commitment block.
    """

    key: OperatorKey
    run: str
    head: str = NOTHING_BEFORE
    committed: str = NOTHING_BEFORE
    _last: str = NOTHING_BEFORE
    _shown: int = 0
    _links: list[str] = field(default_factory=list)
    _seen: dict[int, int] = field(default_factory=dict)
    _signed: tuple[str, str] = ("", "")

    def add(self, block: Block, *, shown: bool = True) -> None:
        """The chain has one more block; nodes are not shown it while they answer by another."""
        self._links.append(hashlib.sha256(canonical_json(block)).hexdigest())
        self._last = joined(self._last, self._links[-1])
        if isinstance(block, Commitment):
            self.committed = self._last
        if shown:
            self.head, self._shown = self._last, len(self._links)

    def note(self, node: int, height: int | None) -> None:
        """A node said how far it has seen the chain."""
        if height is not None:
            self._seen[node] = min(height, self._shown)

    def moment(self, round: int) -> Moment:
        """What a participant says now, it says at this moment."""
        return Moment(operator=self.key.public, run=self.run, round=round, head=self.head)

    def terms(self, round: int, nodes: Sequence[int], *, greets: bool = False) -> Terms:
        """What messages to some nodes hold about the chain; one text for all of them.

        Parameters
        ----------
        greets : bool
            Whether it is a greeting: who is greeted may have seen any head, or none.
        """
        height = self._shown
        head = Head(operator=self.key.public, run=self.run, height=height, head=self.head)
        if self._signed[0] != self.head:
            self._signed = (self.head, self.key.sign(signed_bytes(head)))
        seen = [0 if greets else self._seen.get(node, height) for node in nodes]
        from_height = min(seen, default=height)
        links = self._links[max(from_height, height - MOST_LINKS) : height]
        return head_terms(head, self._signed[1], round, links)

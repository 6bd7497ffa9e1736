"""What a participant was shown of a run, against a ledger of that run.

The operator signs the head that it shows, and it signs each block of its ledger. Where they
differ, the head, the first block and the hashes of those after it convict it: the hashes lead from
the first block, which names the run, to another block in the place of the one that was shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..errors import LedgerError
from ..mechanism.blocks import Genesis
from ..mechanism.identity import is_hash
from ..wire.heads import NOTHING_BEFORE, grown
from .heads import ShownHead
from .keys import verify_signature
from .sealed import SealedBlock
from .seals import check_link, check_signature

__all__ = ["Against", "Shown", "against"]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A head that the operator signed, and the way to another block that it signed in its place.

    `links` are the hashes of the blocks' bodies, from the first one on; `genesis` is the body of
    the first, and `signature` the operator's under the last.
    """

    head: ShownHead
    genesis: str
    links: tuple[str, ...]
    signature: str

    def proves(self) -> str | None:
        """What it proves; None where it proves nothing."""
        head, links = self.head, self.links
        whole = len(links) == head.height > 0 and all(is_hash(link) for link in links)
        if not (whole and head.signed and _link(self.genesis) == links[0]):
            return None
        found = grown(NOTHING_BEFORE, links)
        signed = verify_signature(head.operator, bytes.fromhex(found), self.signature)
        if not signed or found == head.head or _run_of(self.genesis) != head.run:
            return None
        return (
            f"operator {head.operator} showed one ledger of run {head.run} and kept another: it "
            f"signed that block {head.height - 1} is {head.head}, and a ledger in which it is "
            f"{found}."
        )


def _link(body: str) -> str:
    return hashlib.sha256(body.encode(errors="surrogatepass")).hexdigest()


def _run_of(body: str) -> str | None:
    """The run that a first block begins; None where it is none."""
    try:
        block = SealedBlock(
            index=0, previous=NOTHING_BEFORE, body=body, hash="", producer="", signature=""
        ).block()
    except LedgerError:
        return None
    return block.run if isinstance(block, Genesis) else None


@dataclass(frozen=True, kw_only=True)
class Against:
    """What heads are to a ledger.

    Attributes
    ----------
    agree, beyond : int
        Heads of the ledger's run that are blocks of it, and those of later blocks than it has.
    proof : Shown or None
        The first head that it contradicts.
    unproved : int or None
        The block that is not the one that was shown, where another key signed it.
    """

    agree: int = 0
    beyond: int = 0
    proof: Shown | None = None
    unproved: int | None = None

    @property
    def told(self) -> str:
        """What that means, where nothing is contradicted."""
        if self.unproved is not None:
            return (
                f"block {self.unproved} is not the one that was shown, but another key signed it, "
                "which proves nothing of the operator"
            )
        if not self.agree + self.beyond:
            return "the ledger is of another run or operator than all that was shown"
        later = f", and {self.beyond} are of later blocks than it has" if self.beyond else ""
        return f"{self.agree} of the heads that were shown are blocks of this ledger{later}"


@dataclass
class _Walked:
    """The ledger so far: who made it, and the hashes on the way."""

    genesis: SealedBlock | None = None
    run: str | None = None
    links: list[str] = field(default_factory=list)


def against(heads: Iterable[ShownHead], ledger: Iterable[SealedBlock]) -> Against:
    """Hold what was shown against a ledger.

    Raises
    ------
    LedgerError
        When a block up to the first that differs is not of its chain, or not signed.
    """
    waiting = sorted((head for head in heads if head.height > 0), key=lambda head: head.height)
    walked, before, agree = _Walked(), None, 0
    for sealed in ledger:
        check_link(sealed, before)
        check_signature(sealed)
        before = sealed
        if walked.genesis is None:
            walked.genesis, walked.run = sealed, _run_of(sealed.body)
            place = (sealed.producer, walked.run)
            waiting = [head for head in waiting if (head.operator, head.run) == place]
        walked.links.append(_link(sealed.body))
        while waiting and waiting[0].height <= len(walked.links):
            head = waiting.pop(0)
            if head.height == len(walked.links) and head.head != sealed.hash:
                proof = _proof(head, walked, sealed)
                if proof.proves() is None:
                    return Against(agree=agree, unproved=sealed.index)
                return Against(agree=agree, proof=proof)
            agree += 1
    return Against(agree=agree, beyond=len(waiting) if walked.genesis is not None else 0)


def _proof(head: ShownHead, walked: _Walked, sealed: SealedBlock) -> Shown:
    assert walked.genesis is not None
    return Shown(
        head=head, genesis=walked.genesis.body, links=tuple(walked.links),
        signature=sealed.signature,
    )  # fmt: skip

"""Receipts: what a participant keeps, so that nobody can take back what it was credited.

A receipt says what one participant owned after a settled round, proves that this is in
the settlement block, and is signed by the operator. Checking it needs nothing else. Who
holds one can show that a ledger was rewritten: the block that it names is not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..errors import LedgerDamagedError, LedgerError
from ..files.regular import read_regular
from ..legible import legible
from ..mechanism.blocks import Admission, Block, Genesis, Settlement
from ..mechanism.merkle import Leaf, inclusion_proof, leaves_of, merkle_root, root_of_proof
from ..mechanism.parsing import Misfit, reader_of
from .differences import Differs, Problem
from .keys import OperatorKey, verify_signature
from .reading import steps
from .sealed import SealedBlock
from .seals import check_link

__all__ = [
    "Receipt",
    "attested_hashes",
    "check_receipt",
    "check_settled",
    "make_receipt",
    "read_receipt",
    "what_it_proves",
    "write_receipt",
]

_PREFIX = b"flower_relay receipt 1\n"
"""Before what is signed, so that a receipt's signature is good for nothing else."""

_LONGEST = 2**20
"""Bytes of a receipt's file; a receipt has a few thousand."""

_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A signed statement of one participant's standing after a round.

    Attributes
    ----------
    run : str
        Hash of the run's genesis block.
    participant : str
        Name.
    round : int
        The settled round.
    balance, locked : int
        Units of 10⁻⁹ coins.
    bond : float
        Weight of its votes.
    position, size : int
        Where in the tree of standings, and how many there are.
    proof : tuple of str
        Hashes beside the way to the root.
    root : str
        `standings_root` of the settlement block.
    block, block_hash
        Index and hash of the settlement block.
    head_block, head
        Index and hash of the last block when the receipt was made.
    operator : str
        Public key, in hex.
    signature : str
        Ed25519 over all of the above.
    """

    run: str
    participant: str
    round: int
    balance: int
    locked: int
    bond: float
    position: int
    size: int
    proof: tuple[str, ...]
    root: str
    block: int
    block_hash: str
    head_block: int
    head: str
    operator: str
    signature: str = ""

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        stated = asdict(self)
        del stated["signature"]
        text = json.dumps(stated, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return _PREFIX + text.encode()

    @property
    def leaf(self) -> Leaf:
        """The participant's leaf in the tree of standings."""
        return Leaf(
            participant=self.participant,
            balance=self.balance,
            locked=self.locked,
            bond=self.bond,
        )


def make_receipt(blocks: Iterable[SealedBlock], participant: str, key: OperatorKey) -> Receipt:
    """A receipt for the last settled round.

    Parameters
    ----------
    blocks : iterable of SealedBlock
        The whole ledger.
    participant : str
        Name.
    key : OperatorKey
        The key that signed the ledger.

    Raises
    ------
    LedgerError
        When nothing is settled yet, nobody has that name, or the key is another one.
    """
    first, last, settled = None, None, None
    for step in steps(blocks):
        first, last = first or step.sealed, step.sealed
        if isinstance(step.block, Settlement):
            who = step.state.who
            standings = who.coins.tolist(), who.locked.tolist(), who.bond.tolist()
            settled = (step.sealed, step.block, leaves_of(who.names, *standings))
    if first is None or last is None or settled is None:
        raise LedgerError("no round is settled yet: there is nothing to give a receipt for.")
    return _signed(first, last, settled, participant, key)


def _signed(
    first: SealedBlock,
    last: SealedBlock,
    settled: tuple[SealedBlock, Settlement, list[Leaf]],
    participant: str,
    key: OperatorKey,
) -> Receipt:
    sealed, block, leaves = settled
    names = [leaf.participant for leaf in leaves]
    if participant not in names:
        raise LedgerError(
            f"nobody is called {participant} in round {block.round}; there are: "
            f"{legible(', '.join(names), 2000)}."
        )
    if key.public != sealed.producer:
        raise LedgerError(
            f"the ledger is signed by {sealed.producer} and this is the key of {key.public}: its "
            "receipt would prove nothing. Give the file of the operator's key."
        )
    if merkle_root(leaves) != block.standings_root:
        raise LedgerError(
            f"the standings of round {block.round} are not those of its settlement block, so that "
            "no receipt was made; `flower-relay ledger verify` finds where they depart."
        )
    position = names.index(participant)
    leaf = leaves[position]
    receipt = Receipt(
        run=first.hash, participant=participant, round=block.round, balance=leaf.balance,
        locked=leaf.locked, bond=leaf.bond, position=position, size=len(leaves),
        proof=inclusion_proof(leaves, position), root=block.standings_root, block=sealed.index,
        block_hash=sealed.hash, head_block=last.index, head=last.hash, operator=key.public,
    )  # fmt: skip
    return replace(receipt, signature=key.sign(receipt.signed_bytes()))


def check_receipt(
    receipt: Receipt, *, trust: str | None = None, blocks: Iterable[SealedBlock] | None = None
) -> Problem | None:
    """Check a receipt by itself, and against a ledger where there is one.

    Parameters
    ----------
    receipt : Receipt
        To be checked.
    trust : str, optional
        The operator's public key, known from elsewhere.
    blocks : iterable of SealedBlock, optional
        A ledger, which must still hold the blocks that the receipt names.

    Returns
    -------
    Problem or None
        None when all is well.
    """
    if trust is not None and receipt.operator != trust:
        return _problem("receipt.operator", trust, receipt.operator)
    if not verify_signature(receipt.operator, receipt.signed_bytes(), receipt.signature):
        return _problem("receipt.signature", "one by the operator over this receipt", "another")
    root = root_of_proof(receipt.leaf, receipt.position, receipt.size, receipt.proof)
    if root != receipt.root:
        return _problem("receipt.proof", f"a way to the root {receipt.root}", root)
    return None if blocks is None else _in_ledger(receipt, blocks)


def attested_hashes(receipt: Receipt) -> dict[int, str]:
    """The hashes by block index that a receipt attests: first, settlement and last block."""
    return {0: receipt.run, receipt.block: receipt.block_hash, receipt.head_block: receipt.head}


def _in_ledger(receipt: Receipt, blocks: Iterable[SealedBlock]) -> Problem | None:
    """The attested blocks are there, and the settlement has round, root and size as stated."""
    attested = attested_hashes(receipt)
    size = 0
    before: SealedBlock | None = None
    try:
        for sealed in blocks:
            check_link(sealed, before)
            if (stated := attested.pop(sealed.index, sealed.hash)) != sealed.hash:
                raise Differs("seal.hash", stated, sealed.hash)
            size += _joining(sealed) if sealed.index <= receipt.block else 0
            if sealed.index == receipt.block:
                check_settled(receipt, _settled_in(sealed), size)
            before = sealed
    except Differs as differs:
        problem = _problem(differs.field, differs.expected, differs.found)
        if differs.field.startswith("receipt."):
            return problem
        return replace(problem, block=0 if before is None else before.index + 1)
    except LedgerDamagedError as damage:
        return _problem("seal", "blocks that can be read", damage)
    for index, stated in attested.items():
        return _problem(f"block {index}", f"a block with hash {stated}", "an end before it")
    return None


def check_settled(receipt: Receipt, block: Block | str, size: int) -> None:
    """The block that a receipt names settles its round, with its root over so many standings.

    Parameters
    ----------
    block : Block or str
        The block, or what is there instead.
    size : int
        Participants by then.

    Raises
    ------
    Differs
        Naming what the receipt states, and what the ledger holds.
    """
    if not isinstance(block, Settlement):
        found = block if isinstance(block, str) else "no settlement"
        raise Differs("receipt.root", found, receipt.root)
    stated = {"round": receipt.round, "root": receipt.root, "size": receipt.size}
    held = {"round": block.round, "root": block.standings_root, "size": size}
    for name, value in held.items():
        if stated[name] != value:
            raise Differs(f"receipt.{name}", value, stated[name])


def what_it_proves() -> str:
    """What a receipt proves without a ledger, and what it does not."""
    return (
        "Without the ledger this proves that the operator signed these words, and nothing of how "
        "they came about: round, block and standing are the operator's own. It convicts the "
        "operator where a ledger or another receipt of the run says otherwise (check-receipt "
        "--run, verify --receipt, compare)."
    )


def _joining(sealed: SealedBlock) -> int:
    """How many participants a block brings."""
    if '"participants":' not in sealed.body:  # most blocks bring nobody, and need not be read
        return 0
    try:
        block = sealed.block()
    except LedgerError:
        return 0
    return len(block.participants) if isinstance(block, Genesis | Admission) else 0


def _settled_in(sealed: SealedBlock) -> Block | str:
    """The block, or why it is none."""
    try:
        return sealed.block()
    except LedgerError as problem:
        return str(problem)


def _problem(field: str, expected: object, found: object) -> Problem:
    return Problem(
        block=None, kind="receipt", field=field, expected=str(expected), found=str(found)
    )


def write_receipt(receipt: Receipt, path: Path) -> None:
    """Write a receipt as JSON.

    Raises
    ------
    LedgerError
        When it cannot be written.
    """
    try:
        path.write_text(json.dumps(asdict(receipt), indent=2) + "\n", encoding="utf-8")
    except OSError as problem:
        raise LedgerError(
            f"the receipt cannot be written to {legible(str(path))}: {problem.strerror}. The "
            "ledger was not changed; name another file with --out."
        ) from problem


def read_receipt(path: Path) -> Receipt:
    """Read a receipt from JSON.

    Raises
    ------
    LedgerError
        When the file is missing or no receipt.
    """
    try:
        values = json.loads(read_regular(path, most=_LONGEST))
    except OSError as problem:
        raise LedgerError(f"{path} cannot be read: {problem.strerror}.") from problem
    except (ValueError, RecursionError) as problem:
        raise LedgerError(f"{path} should hold a receipt and is not JSON: {problem}.") from problem
    try:
        receipt: Receipt = _read(values)
    except Misfit as misfit:
        field = "receipt" + "".join(reversed(misfit.path))
        raise LedgerError(
            f"{path} should hold a receipt as `flower-relay ledger receipt` writes it: {field}: "
            f"expected {misfit.expected}, found {misfit.found}."
        ) from None
    if not all(_HASH.fullmatch(beside) for beside in receipt.proof):
        raise LedgerError(f"{path}: receipt.proof: expected hashes in hex, found something else.")
    return receipt


_read = reader_of(Receipt)

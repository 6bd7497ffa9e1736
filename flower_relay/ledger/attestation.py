"""What participants signed themselves: their hops, their votes, and the nonces they opened.

Who is named by its key has signed all of it, or the block is the operator's invention. Of
all others there is nothing to check; how much of a ledger rests on whose word is counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..mechanism.blocks import Commitment, Deposit, Genesis, HopClaim, OpenedNonce, Testing
from ..mechanism.eligible import nonce_bringers, nonces_needed
from ..mechanism.identity import is_hash, key_of, short_name
from ..mechanism.state import State
from ..rules.outcomes import Fault
from ..rules.votes import bounded_utility
from ..wire.statements import Hop, Measured, Moment, Opening, Statement, attests, nonce_hash
from ..wire.votes import vote_on
from .differences import Differs

__all__ = ["ParticipantsWord"]

_SIGNED = ("signatures", "values", "errors", "cases")
"""What a testing block holds of signed votes, a row a model."""


class ParticipantsWord:
    """Checks a run's statements by participants, and counts them.

    Attributes
    ----------
    hops_signed, votes_signed, votes_attested : int
        Signed by the participant; votes that only the operator attests.
    draws_with_nonces, draws_without, draws_void, nonces_withheld : int
        Draws whose seed holds opened nonces, draws whose seed was the operator's to choose,
        those that had too few nonces and so no committee, and nonces that were to be brought
        and never opened.
    founders, founders_signing : int
        Who the operator named in the first block, and how many of them have keys.
    faults_attested : int
        Hops without a model: that there was none is the operator's word.
    """

    def __init__(self, genesis: Genesis) -> None:
        self._operator, self._run = genesis.operator, genesis.run
        self._metric = str(genesis.settings["utility_key"])
        self._rises = bool(genesis.settings["utility_rises"])
        self.founders_signing = sum(key_of(name) is not None for name in genesis.participants)
        self.founders = len(genesis.participants)
        self.faults_attested = 0
        self.hops_signed = self.votes_signed = 0
        self.votes_attested = sum(value is not None for value in genesis.utilities)
        self.draws_with_nonces = self.draws_without = 0
        self.draws_void = self.nonces_withheld = 0

    def check_genesis(self, genesis: Genesis) -> None:
        """Who signs could not sign a utility before there was a run to sign it for."""
        for place, name in enumerate(genesis.participants):
            found = genesis.utilities[place]
            if key_of(name) is not None and found is not None:
                raise Differs(f"genesis.utilities[{place}]", "none that is not signed", found)

    def check_commitment(
        self, state: State, deposit: Deposit, block: Commitment, head: str
    ) -> None:
        """Every model by who signs is signed; nonces are by who may bring them.

        Parameters
        ----------
        head : str
            Hash of the deposit block, which the trainers were shown.
        """
        at = self._at(block.round, head)
        for lane, claims in enumerate(block.lanes):
            for place, claim in enumerate(claims):
                path = f"commitment.lanes[{lane}][{place}].signature"
                if claim.fault == Fault.UNSIGNED and key_of(state.who.names[claim.trainer]) is None:
                    raise Differs(path, "a trainer who signs, to be at fault", claim.trainer)
                self.faults_attested += claim.model is None
                self.hops_signed += self._signed(
                    path, state, claim.trainer, self._hop(at, claim), claim.signature
                )
        drawn = nonce_bringers(state, deposit)
        told = [item.participant for item in block.nonce_hashes]
        path = "commitment.nonce_hashes"
        if told != sorted(set(told) & set(drawn)):
            raise Differs(path, f"some of those drawn, {list(drawn)}, in ascending order", told)
        self.nonces_withheld += len(drawn) - len(told)
        for place, item in enumerate(block.nonce_hashes):
            if not is_hash(item.hash):
                raise Differs(f"{path}[{place}].hash", "a hash", item.hash)

    def check_testing(self, state: State, block: Testing, head: str) -> None:
        """Every vote by who signs is signed, once: where it was first cast.

        Parameters
        ----------
        head : str
            Hash of the block that the examiners were shown: the commitment, or after it the
            deposit of the round that goes ahead.
        """
        nobody = (None,) * len(block.committee)
        columns = [getattr(block, name) for name in _SIGNED]
        for name, rows in zip(_SIGNED, columns, strict=True):
            self._check_shape(block, name, rows or (nobody,) * len(block.models))
        self._check_shown(state, block)
        at = self._at(state.asking, head)
        filled = [rows or (nobody,) * len(block.models) for rows in columns]
        for place, rows in enumerate(zip(*filled, strict=True)):
            self._check_row(state, block, place, at, list(zip(*rows, strict=True)))

    def check_openings(
        self, state: State, commitment: Commitment, head: str, opened: Sequence[OpenedNonce]
    ) -> None:
        """Each nonce is the one that was committed, opened for this commitment block."""
        hashes = {item.participant: item.hash for item in commitment.nonce_hashes}
        who = [item.participant for item in opened]
        if who != sorted(set(who) & hashes.keys()):
            raise Differs("testing.nonces", f"some of those committed, {sorted(hashes)}", who)
        for place, item in enumerate(opened):
            path = f"testing.nonces[{place}]"
            if not is_hash(item.nonce) or (
                nonce_hash(bytes.fromhex(item.nonce)) != hashes[item.participant]
            ):
                expected = f"the nonce committed as {hashes[item.participant]}"
                raise Differs(f"{path}.nonce", expected, item.nonce)
            opening = Opening(at=self._at(state.asking, head), nonce=item.nonce)
            self._signed(f"{path}.signature", state, item.participant, opening, item.signature)
        needed = 0 if state.deposit is None else nonces_needed(state, state.deposit)
        self.draws_without += not needed
        self.draws_void += len(opened) < needed
        self.draws_with_nonces += len(opened) >= needed > 0
        self.nonces_withheld += len(hashes) - len(opened)

    def _check_shape(self, block: Testing, name: str, rows: Sequence[Sequence[object]]) -> None:
        path = f"testing.{name}"
        if len(rows) != len(block.models):
            raise Differs(path, f"{len(block.models)} entries", len(rows))
        for place, row in enumerate(rows):
            if len(row) != len(block.committee):
                expected = f"{len(block.committee)} entries"
                raise Differs(f"{path}[{place}]", expected, len(row))
        if getattr(block, name) and all(one is None for row in rows for one in row):
            raise Differs(path, "no rows where nobody said any", len(rows))

    def _check_shown(self, state: State, block: Testing) -> None:
        """Everybody is shown the same of a model, whenever it is judged."""
        if not block.shown:
            return
        if len(block.shown) != len(block.models) or block.shown == block.models:
            expected = f"{len(block.models)} entries, or none where models are shown as they are"
            raise Differs("testing.shown", expected, len(block.shown))
        for place, (model, shown) in enumerate(zip(block.models, block.shown, strict=True)):
            path, before = f"testing.shown[{place}]", state.shown.get(model, shown)
            if not is_hash(shown):
                raise Differs(path, "a hash", shown)
            if before != shown:
                raise Differs(path, f"{before}, by which it was judged before", shown)

    def _check_row(
        self, state: State, block: Testing, place: int, at: Moment, row: Sequence[tuple[Any, ...]]
    ) -> None:
        model = block.models[place]
        shown = block.shown[place] if block.shown else model
        known = state.known_utilities(model)[list(block.committee)].tolist()
        signs = [key_of(state.who.names[who]) is not None for who in block.committee]
        for column, (before, value) in enumerate(zip(known, block.utilities[place], strict=True)):
            path = f"testing.signatures[{place}][{column}]"
            signature, raw, error, cases = row[column]
            new = before != before and value is not None  # NaN: has not said anything yet
            vote = None
            if new and signs[column]:
                said = Measured(value=raw, error=error, cases=cases)
                vote = vote_on(at, model, shown, self._metric, said)
            signed = self._signed(path, state, block.committee[column], vote, signature)
            self._check_said(state, block, (place, column), signed)
            self.votes_signed += signed
            self.votes_attested += new and not signed

    def _check_said(
        self, state: State, block: Testing, cell: tuple[int, int], signed: bool
    ) -> None:
        """A utility is what follows from the value that was signed; nothing else has one."""
        place, column = cell
        for name in _SIGNED[1:]:
            rows = getattr(block, name)
            if not signed and rows and rows[place][column] is not None:
                path = f"testing.{name}[{place}][{column}]"
                raise Differs(path, "none that is not signed", rows[place][column])
        if not signed:
            return
        value = block.values[place][column] if block.values else None
        raw = math.nan if value is None else value
        expected = bounded_utility(raw, state.bound, self._rises)
        if block.utilities[place][column] != expected:
            path = f"testing.utilities[{place}][{column}]"
            raise Differs(path, f"{expected}, of the signed {raw}", block.utilities[place][column])

    def _at(self, round: int, head: str) -> Moment:
        return Moment(operator=self._operator, run=self._run, round=round, head=head)

    def _hop(self, at: Moment, claim: HopClaim) -> Hop | None:
        if claim.handed_in is None:
            return None
        return Hop(at=at, parent=claim.base, model=claim.handed_in)

    def _signed(
        self, path: str, state: State, who: int, said: Statement | None, signature: str | None
    ) -> bool:
        """Whether a statement is signed, which it is exactly if it is by who signs."""
        name = state.who.names[who]
        if said is None or key_of(name) is None:
            if signature is not None:
                raise Differs(path, "no signature: there is nothing that was signed", signature)
            return False
        if not attests(name, said, signature):
            kind = type(said).__name__.lower()
            raise Differs(path, f"the signature of {short_name(name)} under this {kind}", signature)
        return True

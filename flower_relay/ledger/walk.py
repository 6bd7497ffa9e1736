"""One pass over a ledger: each block checked for its place, its signature and its spelling.

What a block must hold follows from those before it (`replay`). Whatever is in a ledger, the
pass ends with the first problem after which nothing can be judged, or with none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from ..errors import LedgerDamagedError, LedgerVersionError
from ..mechanism.averages import models_needed
from ..mechanism.blocks import RULES, Block, Commitment, Genesis, body, check_rules
from ..mechanism.identity import is_hash
from .chain import canonical_json
from .differences import Differs, Problem, first_difference, problem_at, problem_of
from .model_files import FilesFound, ModelFiles, ReadOnlyModels, compare_models
from .receipts import Receipt, attested_hashes, check_settled
from .replay import Replay
from .sealed import MOST_CHARACTERS, SealedBlock
from .seals import check_link, check_signature
from .verdict import OTHER_RULES, Verdict, note_on_keys

__all__ = ["Walk"]


class Walk:
    """One pass over a ledger: what has been seen, and the run decided again so far."""

    def __init__(
        self,
        pinned: str | None,
        receipt: Receipt | None,
        stored: ReadOnlyModels | None,
        files: FilesFound | None,
    ) -> None:
        self._pinned, self._receipt, self._stored = pinned, receipt, stored
        self._attested = {} if receipt is None else attested_hashes(receipt)
        self._intact = frozenset[str]() if files is None else files.intact
        self._replay: Replay | None = None
        self._last: SealedBlock | None = None
        self._producers: dict[str, None] = {}
        self._hashes: set[str] = set()
        self._hops = 0
        self.foreign_keys: list[Problem] = []
        self.other_rules = False

    def through(self, blocks: Iterable[SealedBlock]) -> Problem | None:
        """Check block by block; the first problem after which nothing can be judged."""
        try:
            for sealed in blocks:
                if (problem := self._check(sealed)) is not None:
                    return problem
        except LedgerDamagedError as damage:  # by reading, not by checking
            return problem_of(len(self._hashes), "seal", damage)
        if self._last is None:
            return problem_at("seal", "blocks", "a genesis block", "no blocks at all")
        return None

    def _check(self, sealed: SealedBlock) -> Problem | None:
        kind = "seal"
        try:
            if self._last is None:
                _check_rules(sealed)
            check_link(sealed, self._last)
            self._check_key(sealed)
            check_signature(sealed)
            block = sealed.block()
            kind = type(block).__name__.lower()
            with np.errstate(all="ignore"):  # what comes out is compared, however it came about
                self._check_block(sealed, block)
        except LedgerVersionError as problem:
            self.other_rules = True
            return problem_at("genesis", "genesis.rules", f"{RULES}", str(problem), sealed.index)
        except Exception as problem:  # a rule fails in its own way on what no rule allows
            return problem_of(len(self._hashes), kind, problem)
        self._last = sealed
        self._hashes.add(sealed.hash)
        return None

    def _check_key(self, sealed: SealedBlock) -> None:
        """Another key is a problem, but says nothing about the blocks: the walk goes on."""
        if sealed.producer in self._producers:
            return
        if not is_hash(sealed.producer):
            raise Differs("seal.producer", "a public key, 32 bytes in hex", sealed.producer)
        first = next(iter(self._producers), sealed.producer)
        expected = first if self._pinned is None else self._pinned
        self._producers[sealed.producer] = None
        if sealed.producer != expected:
            self.foreign_keys.append(
                problem_at("seal", "seal.producer", expected, sealed.producer, sealed.index)
            )

    def _check_operator(self, sealed: SealedBlock, genesis: Genesis) -> None:
        """The key that signs is the one that participants' statements name."""
        if genesis.operator != sealed.producer and not self.foreign_keys:
            self.foreign_keys.append(
                problem_at("seal", "seal.producer", genesis.operator, sealed.producer, sealed.index)
            )

    def _check_block(self, sealed: SealedBlock, block: Block) -> None:
        """The block is the one that follows, and an earlier receipt attests no other."""
        attested = self._attested.get(sealed.index, sealed.hash)
        if self._replay is None:
            expected = block
            if not isinstance(block, Genesis):
                raise Differs("kind", "genesis", type(block).__name__.lower())
            self._check_operator(sealed, block)
            self._replay = Replay(block, stored=self._stored, intact=self._intact)
        else:
            expected = self._replay.expected(block)
        _check_spelling(sealed.body, expected, block)
        if attested != sealed.hash:
            raise Differs("seal.hash", f"{attested}, as the receipt attests", sealed.hash)
        if not isinstance(block, Genesis):
            self._replay.follow(block, sealed.hash)
        if self._receipt is not None and sealed.index == self._receipt.block:
            size = self._replay.progress.state.num_participants
            check_settled(self._receipt, block, size)
        if isinstance(block, Commitment):
            self._hops += sum(len(claims) for claims in block.lanes)

    def not_reached(self, head: str | None) -> list[Problem]:
        """What an earlier receipt or head attests, and the ledger no longer holds."""
        found = f"a ledger that ends with block {len(self._hashes) - 1}"
        problems = [
            problem_at("receipt", f"block {index}", f"a block with hash {stated}", found)
            for index, stated in sorted(self._attested.items())
            if index >= len(self._hashes)
        ]
        if head is not None and head not in self._hashes:
            problems.append(problem_at("head", "seal.hash", f"a block with hash {head}", "none"))
        return problems

    def compare(self, files: FilesFound) -> ModelFiles:
        """The model files against the models that the blocks name."""
        named = () if self._replay is None else self._replay.named
        return compare_models(files, named, self.needed)

    @property
    def needed(self) -> dict[str, str]:
        """The models that the run cannot go on without, and what each is."""
        return {} if self._replay is None else models_needed(self._replay.progress)

    @property
    def head(self) -> str:
        """The hash of the last block that holds."""
        return "" if self._last is None else self._last.hash

    @property
    def round_open(self) -> bool:
        """Whether the ledger ends inside a round, which a resume would finish."""
        return self._replay is not None and not self._replay.progress.between_rounds

    def verdict(
        self, models: ModelFiles | None, problems: list[Problem], head: str | None
    ) -> Verdict:
        """All of it together."""
        replay = self._replay
        attested = bool(self._attested) or head is not None
        only_keys = bool(self.foreign_keys) and len(problems) == len(self.foreign_keys)
        return Verdict(
            blocks=len(self._hashes),
            rounds=0 if replay is None else replay.progress.state.round,
            head=self.head,
            ended_in="" if replay is None else type(replay.progress.last).__name__.lower(),
            producers=tuple(self._producers),
            signatures=len(self._hashes),
            hops_attested=self._hops - (0 if replay is None else replay.word.hops_signed),
            hops_signed=0 if replay is None else replay.word.hops_signed,
            votes_attested=0 if replay is None else replay.word.votes_attested,
            votes_signed=0 if replay is None else replay.word.votes_signed,
            draws_with_nonces=0 if replay is None else replay.word.draws_with_nonces,
            draws_without=0 if replay is None else replay.word.draws_without,
            draws_void=0 if replay is None else replay.word.draws_void,
            nonces_withheld=0 if replay is None else replay.word.nonces_withheld,
            founders=0 if replay is None else replay.word.founders,
            founders_signing=0 if replay is None else replay.word.founders_signing,
            faults_attested=0 if replay is None else replay.word.faults_attested,
            averages_checked=0 if replay is None else replay.averages_checked,
            averages_stated=0 if replay is None else replay.averages_stated,
            models=models,
            problems=tuple(problems),
            note=OTHER_RULES if self.other_rules else note_on_keys(attested) if only_keys else "",
        )


def _check_spelling(text: str, expected: Block, found: Block) -> None:
    """The stored text is the one spelling of the expected block."""
    try:
        spelled = canonical_json(expected).decode()
    except ValueError as problem:
        raise Differs("body", "numbers", problem) from problem
    if spelled == text:
        return
    kind = type(found).__name__.lower()
    difference = first_difference(body(expected), json.loads(text), kind)
    raise difference or Differs("body", spelled, text)


def _check_rules(sealed: SealedBlock) -> None:
    """Say that a run was made by other rules before what follows from those looks wrong."""
    if len(sealed.body) > MOST_CHARACTERS:
        return
    try:
        fields = json.loads(sealed.body)
    except (ValueError, RecursionError):
        return  # what it is instead is found where it is read
    if isinstance(fields, dict):
        check_rules(fields)

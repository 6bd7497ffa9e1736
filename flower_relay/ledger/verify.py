"""Verification: is this the ledger of a run that followed the rules, and whole?

Every block is checked for its place in the chain, its signature and its spelling, and
decided again from the blocks before it. Then the model files. It needs nothing but the
blocks and the folder of models; it re-evaluates no model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import LedgerDamagedError, LedgerError, LedgerVersionError
from ..mechanism.averages import models_needed
from ..mechanism.blocks import RULES, Block, Commitment, Genesis, body, check_rules
from ..mechanism.identity import is_hash
from .chain import canonical_json
from .differences import Differs, Problem, first_difference
from .model_files import (
    FilesFound,
    ModelFiles,
    ReadOnlyModels,
    compare_models,
    find_models,
    look_again,
)
from .receipts import Receipt, attested_hashes, check_receipt, check_settled
from .replay import Replay
from .sealed import MOST_CHARACTERS, SealedBlock
from .seals import check_link, check_signature
from .sql_chain import StoredBlocks

__all__ = ["Verdict", "verify_run"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a verification found.

    Attributes
    ----------
    blocks, rounds : int
        Blocks that hold, and rounds begun in them.
    head : str
        Hash of the last of them.
    ended_in : str
        Its kind: `publication` where no round is open.
    producers : tuple of str
        Public keys that signed, in the order of their first block.
    signatures : int
        The operator's signatures that were checked and are good.
    hops_attested, hops_signed : int
        Hops that only the operator attests, and those with their trainer's own signature.
    votes_attested, votes_signed : int
        Votes that only the operator attests, and those with their examiner's own signature.
    draws_with_nonces, draws_without, nonces_withheld : int
        Draws of committee and tests that depend on participants' nonces; those whose seed
        the operator could choose; and nonces committed that were never opened.
    founders, founders_signing : int
        Who the operator named in the first block, and how many of them have keys.
    faults_attested : int
        Hops of which only the operator says that there was no model, and why.
    averages_checked, averages_stated : int
        Published averages that were made again from stored models, and those whose parents
        are collected.
    models : ModelFiles or None
        None without a folder of models.
    problems : tuple of Problem
        Of the blocks the first one, then what is wrong with receipt, head and files.
    note : str
        What a change of nothing but the signatures means, where that is what was found.
    """

    blocks: int
    rounds: int
    head: str
    ended_in: str
    producers: tuple[str, ...]
    signatures: int
    hops_attested: int
    hops_signed: int
    votes_attested: int
    votes_signed: int
    draws_with_nonces: int
    draws_without: int
    nonces_withheld: int
    founders: int
    founders_signing: int
    faults_attested: int
    averages_checked: int
    averages_stated: int
    models: ModelFiles | None
    problems: tuple[Problem, ...]
    note: str

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.problems

    @property
    def first_problem(self) -> Problem | None:
        """The first thing that does not hold."""
        return self.problems[0] if self.problems else None


def verify_run(
    blocks: Iterable[SealedBlock],
    *,
    models: Path | None = None,
    trust: str | None = None,
    receipt: Receipt | None = None,
    head: str | None = None,
) -> Verdict:
    """Check a ledger from its first block to its last.

    Parameters
    ----------
    blocks : iterable of SealedBlock
        The ledger, as stored.
    models : pathlib.Path, optional
        The folder of model files.
    trust : str, optional
        The operator's public key, known from elsewhere: all blocks must be signed by it.
    receipt : Receipt, optional
        An earlier receipt, whose blocks must still be there under its operator's key.
    head : str, optional
        The hash of a last block noted earlier, which must still be there.

    Returns
    -------
    Verdict
        Whatever is there: no ledger and no folder, however made, raises.
    """
    files = None if models is None else find_models(models)
    stored = ReadOnlyModels(models) if models is not None and files and files.intact else None
    pinned = trust if trust is not None or receipt is None else receipt.operator
    walk = _Walk(pinned, receipt, stored, files)
    broken = walk.through(blocks)
    models_found = None if files is None else walk.compare(files)
    if models is not None and files is not None and broken is None:
        broken, models_found = _caught_up(walk, blocks, models, files)
    wrong = [] if receipt is None else [check_receipt(receipt, trust=trust)]
    outside = [problem for problem in wrong if problem is not None]
    if broken is None:
        outside += walk.not_reached(head)
    rest = outside + (_file_problems(models_found, walk) if models_found and not broken else [])
    problems = [*walk.foreign_keys, *([broken] if broken else []), *rest]
    return walk.verdict(models_found, problems, head)


def _caught_up(
    walk: _Walk, blocks: Iterable[SealedBlock], folder: Path, files: FilesFound
) -> tuple[Problem | None, ModelFiles]:
    """Compare model files with a ledger that may have gone on while it was read.

    A model is let go of only after a block that the run can do without it. So where one is
    missing the head is read again: if it is the same, the model is missing indeed.
    """
    found = walk.compare(files)
    for _ in range(_MOST_LOOKS):
        if not _file_problems(found, walk):
            break
        files = look_again(folder, files, walk.needed)
        found = walk.compare(files)
        if not isinstance(blocks, StoredBlocks) or not _file_problems(found, walk):
            break
        head, blocks = walk.head, blocks.later()
        if (broken := walk.through(blocks)) is not None:
            return broken, found
        if walk.head == head:
            break
        found = walk.compare(files)
    return None, found


_MOST_LOOKS = 1000
"""How often files are looked at again while a run goes on and on."""


class _Walk:
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
            return _as_problem(len(self._hashes), "seal", damage)
        if self._last is None:
            return _problem("seal", "blocks", "a genesis block", "no blocks at all")
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
            return _problem("genesis", "genesis.rules", f"{RULES}", str(problem), sealed.index)
        except Exception as problem:  # a rule fails in its own way on what no rule allows
            return _as_problem(len(self._hashes), kind, problem)
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
                _problem("seal", "seal.producer", expected, sealed.producer, sealed.index)
            )

    def _check_operator(self, sealed: SealedBlock, genesis: Genesis) -> None:
        """The key that signs is the one that participants' statements name."""
        if genesis.operator != sealed.producer and not self.foreign_keys:
            self.foreign_keys.append(
                _problem("seal", "seal.producer", genesis.operator, sealed.producer, sealed.index)
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
            _problem("receipt", f"block {index}", f"a block with hash {stated}", found)
            for index, stated in sorted(self._attested.items())
            if index >= len(self._hashes)
        ]
        if head is not None and head not in self._hashes:
            problems.append(_problem("head", "seal.hash", f"a block with hash {head}", "none"))
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
            nonces_withheld=0 if replay is None else replay.word.nonces_withheld,
            founders=0 if replay is None else replay.word.founders,
            founders_signing=0 if replay is None else replay.word.founders_signing,
            faults_attested=0 if replay is None else replay.word.faults_attested,
            averages_checked=0 if replay is None else replay.averages_checked,
            averages_stated=0 if replay is None else replay.averages_stated,
            models=models,
            problems=tuple(problems),
            note=_OTHER_RULES if self.other_rules else _note(attested) if only_keys else "",
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


_OTHER_RULES = (
    "These are other rules than this release knows, so that nothing was judged: neither that the "
    "ledger holds nor that it was forged. Verify it with the release that wrote it."
)


def _note(attested: bool) -> str:
    same = "All hashes are as they should be and the blocks follow the rules; "
    if attested:
        return same + (
            "the receipt or head attests these very blocks: they were only signed again, with "
            "another key. Nobody's standing was changed."
        )
    return same + (
        "only the key is another. Either they were signed again, or the run was written anew: "
        "an earlier receipt or head tells which (--receipt, --head)."
    )


def _file_problems(models: ModelFiles, walk: _Walk) -> list[Problem]:
    problems = [
        _problem("model", f"models/{name}", "bytes that hash to this name", found)
        for name, found in models.changed.items()
    ]
    problems += [
        _problem(
            "model", f"models/{name}", f"{role}, without which the run cannot go on", "no file"
        )
        for name, role in models.missing.items()
    ]
    if not walk.round_open:  # an open round's candidates are stored before a block names them
        problems += [
            _problem("model", f"models/{name}", "a model that some block names", "none does")
            for name in models.unnamed
        ]
    return problems


def _as_problem(index: int, kind: str, error: Exception) -> Problem:
    if isinstance(error, Differs):
        return _problem(kind, error.field, error.expected, error.found, index)
    found = str(error) if isinstance(error, LedgerError) else f"{type(error).__name__}: {error}"
    return _problem(kind, kind, "a block that can follow those before it", found, index)


def _problem(kind: str, field: str, expected: str, found: str, block: int | None = None) -> Problem:
    return Problem(block=block, kind=kind, field=field, expected=expected, found=found)

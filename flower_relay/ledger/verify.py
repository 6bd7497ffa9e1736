"""Verification: is this the ledger of a run that followed the rules, and whole?

Every block is checked for its place in the chain, its signature and its spelling, and
decided again from the blocks before it (`walk`). Then the model files. It needs nothing but
the blocks and the folder of models; it re-evaluates no model.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .differences import Problem, problem_at
from .model_files import FilesFound, ModelFiles, ReadOnlyModels, find_models, look_again
from .receipts import Receipt, check_receipt
from .sealed import SealedBlock
from .sql_chain import StoredBlocks
from .verdict import Verdict
from .walk import Walk

__all__ = ["Verdict", "verify_run"]

_MOST_LOOKS = 1000
"""How often files are looked at again while a run goes on and on."""


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
    walk = Walk(pinned, receipt, stored, files)
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
    walk: Walk, blocks: Iterable[SealedBlock], folder: Path, files: FilesFound
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


def _file_problems(models: ModelFiles, walk: Walk) -> list[Problem]:
    problems = [
        problem_at("model", f"models/{name}", "bytes that hash to this name", found)
        for name, found in models.changed.items()
    ]
    problems += [
        problem_at(
            "model", f"models/{name}", f"{role}, without which the run cannot go on", "no file"
        )
        for name, role in models.missing.items()
    ]
    if not walk.round_open:  # an open round's candidates are stored before a block names them
        problems += [
            problem_at("model", f"models/{name}", "a model that some block names", "none does")
            for name in models.unnamed
        ]
    return problems

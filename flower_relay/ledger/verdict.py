"""What a verification says: what was checked, how much of it, and what does not hold."""

from __future__ import annotations

from dataclasses import dataclass

from .differences import Problem
from .model_files import ModelFiles

__all__ = ["OTHER_RULES", "Verdict", "note_on_keys"]


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
    draws_with_nonces, draws_without, draws_void, nonces_withheld : int
        Draws of committee and tests that depend on participants' nonces; those whose seed
        the operator could choose; those that came to nothing, as too few nonces were opened;
        and nonces of participants who were drawn to bring one that were never opened.
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
    draws_void: int
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


OTHER_RULES = (
    "These are other rules than this release knows, so that nothing was judged: neither that the "
    "ledger holds nor that it was forged. Verify it with the release that wrote it."
)


def note_on_keys(attested: bool) -> str:
    """What it means that nothing but the signatures changed."""
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

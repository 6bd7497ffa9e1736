"""What a participant's mod remembers, so that it is never made to contradict itself.

It knows one operator by its key, from the first time on; and of each run how far the chain was
that it was shown, and what it signed in the last round. It signs one hop a round, one vote a
model, and one opening a round; asked the same again it gives the same answer. It follows the
chain only forward, by links from the head that it was shown last.

A key in a file has its memory in a file beside it, which outlasts restarts and the power: what is
signed is on the disk before the signature leaves the node. Else the memory is in the node's
state, like the key. Both are bounded. A hop's result lies beside the memory and is not waited
for: where a power cut takes it, the same question has the node train once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import INFO, WARNING
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context
from flwr.common import log

from ..errors import ContradictionError, KeyFileError
from ..wire.heads import grown
from ..wire.requests import Shown
from ..wire.statements import Measured, Moment
from .journal import Journal, OvertakenError

__all__ = ["Memory", "memory_of"]

_STATE, _VERSION = "relay-memory", 1
_MOST_RUNS = 64
_MOST_VOTES = 1024
"""Models that are voted on in a round; a test of the longest leg is of some twenty."""

_MOST_SAID = 512
"""Models of which is known what was measured, so that nobody hears of two values."""

_MOST_NONCES = 32
_MOST_HEADS = 32
"""Signed heads of a run that are kept: some ten rounds of them."""

_LARGEST_MODEL = 64_000_000
"""Bytes of a result that is kept; a larger one is trained again when it is asked for again."""


@dataclass(kw_only=True)
class _OfRun:
    """What is remembered of a run."""

    height: int = 0
    head: str = ""
    signature: str = ""
    round: int = 0
    hop: dict[str, Any] = field(default_factory=dict)
    opening: dict[str, Any] = field(default_factory=dict)
    votes: dict[str, dict[str, Any]] = field(default_factory=dict)
    said: dict[str, list[Any]] = field(default_factory=dict)
    heads: list[list[Any]] = field(default_factory=list)

    def follow(self, height: int, head: str, signature: str) -> None:
        """This head was shown last; the operator's signatures convict it where it keeps two."""
        self.height, self.head, self.signature = height, head, signature
        shown = [height, head, signature]
        if shown not in self.heads[-1:]:
            self.heads = [*self.heads, shown][-_MOST_HEADS:]

    def begin(self, round: int) -> None:
        """What was signed in rounds before does not bind in this one."""
        if round > self.round:
            self.round, self.votes, self.hop, self.opening = round, {}, {}, {}

    def voted(self, model: str, vote: dict[str, Any]) -> None:
        """A vote was signed; what it says of the model that was shown is known from now on."""
        self.votes[model] = vote
        self.said.pop(vote["shown"], None)
        self.said[vote["shown"]] = [vote[part] for part in ("metric", "value", "error", "cases")]
        while len(self.said) > _MOST_SAID:
            del self.said[next(iter(self.said))]


class Memory:
    """A participant's memory; `keep` makes it last.

    Parameters
    ----------
    path : pathlib.Path or None
        Its file; None: the node's state.
    """

    def __init__(self, context: Context, path: Path | None) -> None:
        self._context, self._path = context, path
        self._journal: Journal | None = None
        self._operator = ""
        self._runs: dict[str, _OfRun] = {}
        self.nonces: list[str] = []
        self._load()
        self._before = frozenset(self.nonces)
        self._run, self._of = _OfRun(), ""
        self._votes: dict[str, dict[str, Any]] = {}

    @property
    def seen(self) -> int:
        """How many blocks the chain has whose head was shown last."""
        return self._run.height

    def see(self, shown: Shown) -> None:
        """Take note of a head, unless it contradicts what was shown before.

        Raises
        ------
        ContradictionError
            When it is another operator's, or does not grow from the head that was shown last.
        """
        at = shown.at
        if not self._operator:
            self._operator = at.operator
            log(INFO, "From now on this participant trusts the operator whose key is %s, and no "
                "other; compare it with what the operator says.", at.operator)  # fmt: skip
        if at.operator != self._operator:
            raise ContradictionError(
                f"this participant trusts operator {self._operator[:12]}, and was asked by "
                f"{at.operator}. Nothing was signed. A ledger in memory has a new key in each "
                "process, unless it is a MemoryChain(OperatorKey.load_or_create(path)). Use "
                "another key (relay-key) for another operator; where this one has a new key, "
                f"remove {self._path or 'the state of the node'}."
            )
        run = self._runs.pop(at.run, None) or _OfRun(height=shown.height, head=at.head)
        self._runs[at.run] = self._run = run
        self._of = at.run
        self._grow(run, shown)
        run.begin(at.round)
        self._forget_the_oldest()

    def _forget_the_oldest(self) -> None:
        while len(self._runs) > _MOST_RUNS:
            del self._runs[next(iter(self._runs))]
        self.nonces = self.nonces[-_MOST_NONCES:]

    def _grow(self, run: _OfRun, shown: Shown) -> None:
        more = shown.height - run.height
        if more < 0 or shown.at.round < run.round:
            raise ContradictionError(
                f"this participant was shown block {run.height - 1} ({run.head[:12]}) and round "
                f"{run.round} of the run, and is now asked by block {shown.height - 1} "
                f"({shown.at.head[:12]}) and round {shown.at.round}: the ledger was rolled back. "
                "Nothing was signed; the operator has to go on from the ledger that it had."
            )
        known = more <= len(shown.links)
        links = shown.links[len(shown.links) - more :] if known else ()
        if not known or grown(run.head, links) != shown.at.head:
            raise ContradictionError(
                f"block {shown.height - 1} ({shown.at.head[:12]}) does not grow from block "
                f"{run.height - 1} ({run.head[:12]}), which this participant was shown: the "
                "operator keeps two ledgers, or sent too few links. Nothing was signed."
            )
        run.follow(shown.height, shown.at.head, shown.signature)

    def hop(self, at: Moment, parent: str) -> dict[str, Any] | None:
        """The hop that was signed for this question, if it was asked before.

        Raises
        ------
        ContradictionError
            When another hop was signed in the round.
        """
        return self._same(self._run.hop, {"head": at.head, "parent": parent}, "hop")

    def opening(self, at: Moment, hash: str) -> dict[str, Any] | None:
        """The opening that was signed for this question; raises as `hop` does."""
        return self._same(self._run.opening, {"head": at.head, "hash": hash}, "opening")

    def vote(self, at: Moment, model: str, shown: str, metric: str) -> dict[str, Any] | None:
        """The vote that was signed for this question; raises as `hop` does."""
        asked = {"head": at.head, "shown": shown, "metric": metric}
        return self._same(self._run.votes.get(model, {}), asked, f"vote on model {model[:12]}")

    def _same(
        self, kept: dict[str, Any], asked: dict[str, str], what: str
    ) -> dict[str, Any] | None:
        if not kept:
            return None
        for name, value in asked.items():
            if kept[name] != value:
                raise ContradictionError(
                    f"this participant signed a {what} in round {self._run.round} with {name} "
                    f"{kept[name][:12]}, and is asked for another with {name} {value[:12]}. "
                    "Nothing was signed: there is one in a round."
                )
        return kept

    def sign_hop(self, at: Moment, parent: str, model: str, signature: str) -> None:
        """Remember a hop; the same may be signed again.

        Raises
        ------
        ContradictionError
            When the model is not the one that was signed before.
        """
        before = self.hop(at, parent)
        if before is not None and before["model"] != model:
            raise ContradictionError(
                f"this participant signed model {before['model'][:12]} as its hop of round "
                f"{at.round}; asked again it trained to {model[:12]}, and the first is not kept "
                "any more. Nothing was signed: there is one hop in a round."
            )
        self._run.hop = {"head": at.head, "parent": parent, "model": model, "signature": signature}

    def sign_vote(
        self, at: Moment, model: str, shown: str, metric: str, said: Measured, signature: str
    ) -> None:
        """Remember a vote, and what was measured."""
        vote = {
            "head": at.head, "shown": shown, "metric": metric, "signature": signature,
            "value": said.value, "error": said.error, "cases": said.cases,
        }  # fmt: skip
        self._votes[model] = vote
        self._run.voted(model, vote)
        if len(self._run.votes) > _MOST_VOTES:
            raise ContradictionError(
                f"this participant was asked to vote on more than {_MOST_VOTES} models in round "
                f"{at.round}. No more votes were signed; a test is of some twenty."
            )

    def said(self, shown: str, metric: str) -> Measured | None:
        """What was measured of a model that was evaluated before: it is said again."""
        kept = self._run.said.get(shown)
        if kept is None or kept[0] != metric:
            return None
        return Measured(value=kept[1], error=kept[2], cases=kept[3])

    def sign_opening(
        self, at: Moment, hash: str, nonce: str, signature: str, after: str
    ) -> dict[str, Any]:
        """Remember an opening, with the hash of the next nonce, and forget that this one waits."""
        self._run.opening = {
            "head": at.head, "hash": hash, "nonce": nonce, "signature": signature, "after": after,
        }  # fmt: skip
        self._spend(nonce)
        return self._run.opening

    def keep(self, result: bytes | None = None) -> None:
        """Make all of it last before anything is answered; a hop's result with it.

        Raises
        ------
        KeyFileError
            When the file cannot be written.
        ContradictionError
            When another process of the participant answered in the meantime.
        """
        self._forget_the_oldest()
        if result is not None and len(result) > _LARGEST_MODEL:
            result = b""
        if self._path is None:
            before = self._record()
            kept = result if result is not None else before.get("result", b"")
            text = json.dumps(self._whole())
            self._context.state[_STATE] = ConfigRecord({"memory": text, "result": kept})
            return
        try:
            if result is not None:
                _write_soon(self._path.with_suffix(".result"), result)
            self._write(self._path)
        except OvertakenError:
            raise ContradictionError(
                f"another process wrote to {self._path} while this one was at work. Nothing was "
                "signed; a participant answers one message after the other."
            ) from None
        except OSError as problem:
            raise KeyFileError(
                f"what this participant signs should be remembered in {self._path}, but: "
                f"{problem.strerror}. Nothing was signed; let this process write there."
            ) from problem

    def _write(self, path: Path) -> None:
        """Add what is new to the file; where it has no more room, or is not there, all of it."""
        journal = self._journal = self._journal or Journal(path)
        if not journal.add(self._change()):
            journal.write(self._whole())
        self._before, self._votes = frozenset(self.nonces), {}

    def _whole(self) -> dict[str, Any]:
        runs = {run: vars(kept) for run, kept in self._runs.items()}
        return {
            "version": _VERSION, "operator": self._operator, "nonces": self.nonces, "runs": runs,
        }  # fmt: skip

    def _change(self) -> dict[str, Any]:
        """What is new since the last time: of one run, for a message is of one."""
        run = self._run
        return {
            "operator": self._operator, "run": self._of, "round": run.round,
            "height": run.height, "head": run.head, "signature": run.signature,
            "hop": run.hop, "opening": run.opening, "votes": self._votes,
            "nonces": [nonce for nonce in self.nonces if nonce not in self._before],
        }  # fmt: skip

    def _add(self, change: Mapping[str, Any]) -> None:
        """Take up a change that was written before."""
        self._operator = change["operator"]
        run = self._runs.pop(change["run"], None) or _OfRun()
        self._runs[change["run"]] = run
        run.begin(change["round"])
        run.follow(change["height"], change["head"], change["signature"])
        run.hop, run.opening = change["hop"], change["opening"]
        for model, vote in change["votes"].items():
            run.voted(model, vote)
        self.nonces += change["nonces"]
        self._spend(run.opening.get("nonce", ""))
        self._forget_the_oldest()

    def _spend(self, nonce: str) -> None:
        self.nonces = [other for other in self.nonces if other != nonce]

    def result(self) -> bytes:
        """What the last hop led to; nothing where it was too large or is lost."""
        if self._path is None:
            kept = self._record().get("result", b"")
            return kept if isinstance(kept, bytes) else b""
        try:
            return self._path.with_suffix(".result").read_bytes()
        except OSError:
            return b""

    def _record(self) -> dict[str, Any]:
        record = self._context.state.get(_STATE)
        return dict(record) if isinstance(record, ConfigRecord) else {}

    def _load(self) -> None:
        try:
            for place, line in enumerate(self._lines()):
                if place > 0:
                    self._add(line)
                    continue
                assert line.get("version", _VERSION) == _VERSION
                self._runs = {run: _OfRun(**kept) for run, kept in line.get("runs", {}).items()}
                self._operator, self.nonces = line.get("operator", ""), line.get("nonces", [])
        except OSError as problem:
            raise KeyFileError(
                f"{self._path} holds what this participant has signed, and cannot be read: "
                f"{problem}. Nothing was signed; let this process read it."
            ) from problem
        except Exception as problem:
            log(WARNING, "The memory in %s cannot be read: %r", self._path, problem)
            raise KeyFileError(
                f"{self._path or 'the state of the node'} should hold what this participant has "
                "signed, and holds something else. Nothing was signed: it could contradict itself. "
                "Restore the file, or use another key; remove it only if all runs are over."
            ) from problem

    def _lines(self) -> list[dict[str, Any]]:
        if self._path is None:
            return [json.loads(str(self._record().get("memory", "{}")))]
        self._journal = Journal(self._path)
        return self._journal.lines


def _write_soon(path: Path, data: bytes) -> None:
    """Write a file whole, and leave it to the system when it is on the disk."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(data)
    unfinished.replace(path)


def memory_of(context: Context, key: Path | None) -> Memory:
    """The memory that goes with a participant's key.

    Parameters
    ----------
    key : pathlib.Path or None
        The key's file; None: the key is in the node's state.
    """
    return Memory(context, None if key is None else key.with_suffix(".memory"))

"""RelayStrategy: Flower's Strategy in which a model is passed on instead of averaged.

After "Sustainable Decentralized Relay Learning" (DeRelayL, IEEE Transactions on Mobile
Computing 2025); where it departs from the paper, `flower_relay.rules` says so. The loop
in `start` reads like the paper's round: roles and auction, deposits, legs, commitment,
testing, settlement, publication.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from logging import INFO, WARNING
from typing import Unpack

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.common import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from ..errors import RunFailedError
from ..ledger.chain import Chain, MemoryChain, closes_its_chain
from ..mechanism.averages import StoredAverages
from ..mechanism.blocks import Commitment, Deposit, Settlement
from ..mechanism.deposit import decide_next_deposit, hops_left
from ..mechanism.publication import decide_expected
from ..mechanism.settlement import decide_settlement
from ..mechanism.state import State
from ..settings import RelaySettings
from ..store import MemoryStore, ModelStore
from ..transport.courier import GRACE
from ..wire.replies import averaged
from .admit import assembled
from .arguments import (
    check_arguments,
    checked_metrics,
    chosen_observers,
    chosen_settings,
    warn_if_short,
)
from .beginning import Beginning
from .examine import examine
from .failures import check_end, check_faults, note_planted, warn_of_cycle
from .keywords import RelayKeywords
from .nonces import nonces_to_commit
from .publish import publish
from .record import RelayObserver, RunRecord
from .run import Run, to_record
from .train import NOWHERE, Legs, Travelled

__all__ = ["RelayStrategy"]


class RelayStrategy(Strategy):
    """Relay learning as a drop-in for Flower's strategies.

    Parameters
    ----------
    settings : RelaySettings, optional
        All settings at once, or
    **options
        settings by name, as in `RelayStrategy(lanes=2, examiners=7)`; see
        `RelaySettings` for names, defaults and meanings.
    observers : iterable of RelayObserver, optional
        Told about every hop and round; by default a `ProgressDisplay`, which shows how far it
        is: live on a terminal, a log line a round elsewhere. `()` shows nothing.
    chain, store : callable, optional
        Make (or open) the chain of blocks and the model store of each run; in memory by
        default.
    resume : bool
        Whether a chain that has blocks is gone on with, from its last block; otherwise it
        is refused. On an empty chain a run begins in either case.
    run_id : str, optional
        The number of a run that begins, 32 bytes in hex; by default drawn at random. Whoever
        gives it must never give it twice: what participants sign in one run would hold in the
        other. It is there for tests whose ledgers are to repeat byte for byte.

    Attributes
    ----------
    record : RunRecord
        What the last run did, hop by hop.
    chain : Chain
        Its blocks.

    Examples
    --------
    >>> strategy = RelayStrategy(lanes=2, seed=1)
    >>> strategy.settings.lanes
    2
    """

    record: RunRecord
    chain: Chain

    def __init__(
        self,
        settings: RelaySettings | None = None,
        *,
        observers: Iterable[RelayObserver] | None = None,
        chain: Callable[[], Chain] = MemoryChain,
        store: Callable[[], ModelStore] = MemoryStore,
        resume: bool = False,
        run_id: str | None = None,
        **options: Unpack[RelayKeywords],
    ) -> None:
        self.settings = chosen_settings(settings, options)
        self._observers = chosen_observers(observers)
        self._new_chain, self._new_store, self._resume = chain, store, resume
        self._run_id = run_id
        self._running: Run | None = None
        self._legs: Legs | None = None

    def summary(self) -> None:
        """Log the settings that differ from the defaults."""
        defaults = asdict(RelaySettings())
        chosen = {k: v for k, v in asdict(self.settings).items() if v != defaults[k]}
        log(INFO, "\t└──> Relay (%s): %s", self.settings.topology, chosen or "all defaults")

    @property
    def running(self) -> Run:
        """The run in progress; what the hooks below work on."""
        if self._running is None:
            raise RuntimeError("no run is in progress: call start().")
        return self._running

    # The four hooks. A subclass may change one step without touching the loop. The grid that
    # a hook is given holds the nodes that messages are for, and no others.

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """One train message for each node of the grid (a hop has one).

        A trainer that runs the mod signs what it was sent: a subclass must not change arrays
        here where nodes sign.
        """
        return self._messages(server_round, arrays, config, grid, MessageType.TRAIN)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """A hop's candidate: the weights of its one reply, and its metrics.

        The reply was checked: it holds one model with the names, shapes and types of its base.
        A trainer that runs the mod signs what it returns: a subclass must not change arrays
        here where nodes sign, or the hop counts as unsigned.
        """
        for reply in replies:
            # Not `content.array_records`: its views keep what they showed alive.
            records = [r for r in reply.content.values() if isinstance(r, ArrayRecord)]
            return (records[0] if len(records) == 1 else None), self._averaged([reply.content])
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """One evaluate message for each node of the grid (the committee, or newcomers).

        An examiner that runs the mod signs what it was shown: a subclass must not change arrays
        here where nodes sign.
        """
        return self._messages(server_round, arrays, config, grid, MessageType.EVALUATE)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """The committee's metrics, averaged as Flower averages them."""
        return self._averaged([reply.content for reply in replies])

    def _averaged(self, contents: Iterable[RecordDict]) -> MetricRecord | None:
        def told(metric: str, reason: str) -> None:
            self.record.notices.tell(f"metric '{metric}'", "not averaged", reason)

        return averaged(contents, self.settings.weighted_by_key, told)

    @closes_its_chain
    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run the relay, or go on with a run.

        Parameters
        ----------
        grid : flwr.serverapp.Grid
            From the ServerApp, or an `InMemoryGrid`.
        initial_arrays : ArrayRecord
            The genesis model. For a run that is resumed only its names, shapes and types
            matter.
        num_rounds : int
            Rounds of the whole run; a round is one leg per lane. `settings.budget` may end
            the run sooner.
        timeout : float
            Seconds that each message may take there and back. Who is late is skipped,
            charged, and the baton goes to the next.
        train_config, evaluate_config : ConfigRecord, optional
            Sent along; not changed.
        evaluate_fn : callable, optional
            (round, champion) to metrics, called before the first and after each round.

        Returns
        -------
        flwr.serverapp.strategy.Result
            Its `arrays` are the champion; its metrics are of the rounds since this start.

        Raises
        ------
        NotEnoughParticipantsError
            When too few nodes connect, or none answers.
        ConfigurationError
            When an argument will not do, there are more lanes than nodes, no node reports the
            metric that is to vote, or a run cannot be resumed: other settings, other shapes,
            participants who cannot be told.
        RunFailedError
            When, to begin with, all trainers had the same kind of fault, or when no hop counted
            by the end.
        LedgerError, StoreError
            When the chain or the models of a run to be resumed are damaged.

        Notes
        -----
        A run that is resumed repeats at most the leg that was under way. With the same
        seed, configs and deterministic clients, all of whom are back, its chain becomes
        what it would have been without the interruption, block for block.
        """
        configs = train_config, evaluate_config
        check_arguments(initial_arrays, num_rounds, timeout, *configs, evaluate_fn)
        log(INFO, "Starting %s:", type(self).__name__)
        self.summary()
        result = Result()
        self._begin(grid, initial_arrays, num_rounds, timeout, train_config, evaluate_config)
        progress = self.running.progress
        self._evaluate(result, evaluate_fn)
        while progress.state.round < num_rounds or not progress.between_rounds:
            if not self._round(result):
                break
            self._evaluate(result, evaluate_fn)
            self._judge_run(check_faults)
        result.arrays = self._champion()
        self._judge_run(check_end)
        self.running.tell_end()
        log(INFO, "Relay finished in %.1f s.", self.record.seconds)
        return result

    # The paper's round.

    def _round(self, result: Result) -> bool:
        """One round of the paper, or the rest of one; False when the run is over before it.

        Each step is taken up where the last block on the record says, so that a run goes
        on after any of them.
        """
        run = self.running
        resumed = not run.progress.between_rounds and self._legs is None
        began = math.nan if resumed else time.monotonic()
        if run.progress.between_rounds and not self._deposit():
            return False
        travelled, replies, state = NOWHERE, list[Message](), run.state
        if state.commitment is None and state.deposit is not None:
            legs, self._legs = self._legs or Legs(run, state.deposit), None
            travelled = legs.finished()
            self._commit(state.deposit, travelled)
        self._go_ahead()
        if state.commitment and not state.testing and self.settings.examiners:
            replies = examine(run, state.commitment, self._set_out)
        if not isinstance(run.last, Settlement):
            note_planted(run)
            run.record_block(decide_settlement(run.state))
        settled = run.last
        publish(run)
        self._report(result, travelled, replies)
        if isinstance(settled, Settlement):
            took = time.monotonic() - began
            run.tell_settled(settled, travelled.seconds, took, travelled.reasons)
        return True

    def _deposit(self) -> bool:
        """Roles, auction and deposits of a new round; False when there will be none."""
        run, hops = self.running, self.running.progress.hops
        if hops_left(self.settings, hops) <= 0:
            log(INFO, "Stopping: the budget is used.")
            return False
        deposit = self.decide_deposit(run.state, assembled(run), hops)
        if deposit is None:
            log(WARNING, "Stopping: nobody who trains is here.")
            return False
        warn_of_cycle(run, deposit)
        run.record_block(deposit)
        return True

    def decide_deposit(self, state: State, present: list[int], hops: int) -> Deposit | None:
        """The next deposit block by the rules of the run; an experiment may decide another.

        `verify` knows the rules only. A round that goes ahead has the deposits by the rules.
        """
        return decide_next_deposit(state, present, hops)

    def _go_ahead(self) -> None:
        """The deposits of the next round, if it is to train while this one is judged."""
        run, state, hops = self.running, self.running.state, self.running.progress.hops
        last = state.round >= self.record.num_rounds or hops_left(self.settings, hops) <= 0
        if last or state.ahead is not None or not state.goes_ahead:
            return
        expected = decide_expected(state, StoredAverages(run.store, state.settings).expect)
        ahead = decide_next_deposit(state, assembled(run), hops, expected=expected)
        if ahead is not None:
            run.record_block(ahead)

    def _set_out(self) -> None:
        """Have the next round train, if it goes ahead."""
        if (ahead := self.running.state.ahead) is not None:
            self._legs = Legs(self.running, ahead, early=True)

    def _commit(self, deposit: Deposit, travelled: Travelled) -> None:
        """The hashes of all candidates, before anybody knows the tests."""
        run = self.running
        hashes = nonces_to_commit(run, deposit)
        number = run.state.round
        run.record_block(Commitment(round=number, lanes=travelled.claims, nonce_hashes=hashes))

    def _report(self, result: Result, travelled: Travelled, replies: list[Message]) -> None:
        """The round's metrics, as Flower's result has them."""
        number = self.running.progress.round_published
        if (metrics := self._averaged(travelled.contents)) is not None:
            result.train_metrics_clientapp[number] = metrics
        committees = self.aggregate_evaluate(number, replies)
        if (metrics := checked_metrics("aggregate_evaluate", committees)) is not None:
            result.evaluate_metrics_clientapp[number] = metrics

    # What surrounds the rounds.

    def _begin(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int,
        timeout: float,
        train_config: ConfigRecord | None,
        evaluate_config: ConfigRecord | None,
    ) -> None:
        """Genesis, or the last block of the run to resume; who is here."""
        self.chain = self._new_chain()
        self.record = RunRecord(settings=self.settings, num_rounds=num_rounds)
        beginning = Beginning(
            hooks=self, chain=self.chain, store=self._new_store(), record=self.record,
            observers=self._observers, resume=self._resume, run_id=self._run_id, timeout=timeout,
            train_config=train_config, evaluate_config=evaluate_config,
        )  # fmt: skip
        self._running, self._legs = beginning.run(grid, initial_arrays), None
        self.running.tell_start()
        warn_if_short(self.settings, num_rounds, self.running.state.num_participants)

    def _judge_run(self, check: Callable[[Run], None]) -> None:
        """Let who watches see the end of a run that has failed, too."""
        try:
            check(self.running)
        except RunFailedError:
            self.running.tell_end()
            raise

    def _champion(self) -> ArrayRecord:
        """The champion in a record of its own, that whoever is given it may change."""
        run = self.running
        arrays = run.store.get(run.state.champion)
        return to_record({name: arrays[name] for name in run.order})

    def _evaluate(
        self, result: Result, evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None
    ) -> None:
        """The server's own evaluation of the champion."""
        run = self.running
        number = run.progress.round_published
        if evaluate_fn is None:
            return
        metrics = checked_metrics("evaluate_fn", evaluate_fn(number, self._champion()))
        if metrics is not None:
            result.evaluate_metrics_serverapp[number] = metrics

    def _messages(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid, kind: str
    ) -> list[Message]:
        settings, ttl = self.settings, self.running.timeout + GRACE
        own = ConfigRecord({**config, "server-round": server_round})
        content = RecordDict({settings.arrayrecord_key: arrays, settings.configrecord_key: own})
        return [
            Message(content, node, kind, ttl=ttl, group_id=str(server_round))
            for node in grid.get_node_ids()
        ]

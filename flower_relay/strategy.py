"""RelayStrategy: Flower's Strategy in which a model is passed on instead of averaged.

After "Sustainable Decentralized Relay Learning" (DeRelayL, IEEE Transactions on Mobile
Computing 2025); where it departs from the paper, `flower_relay.rules` says so. The loop
in `start` reads like the paper's round: roles and auction, deposits, legs, commitment,
testing, settlement, publication.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from logging import INFO, WARNING
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.common import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from .adapter import weighted_metrics
from .admission import Answer, answers, check_utility, distinct_names, wait_for_nodes
from .blocks import Admission, Commitment, Genesis
from .chain import Chain, MemoryChain
from .courier import Courier
from .decisions import decide_deposits, decide_settlement, generator
from .examining import examine
from .legs import relay
from .metering import MeteredGrid
from .publishing import publish
from .record import HopRow, RelayObserver, RoundRow, RunRecord
from .rules.testing import bounded_utility
from .running import Running, to_arrays
from .settings import RelaySettings
from .state import begin
from .store import MemoryStore, ModelStore

__all__ = ["RelayStrategy"]

_GRACE = 10.0
"""Seconds that a message outlives its deadline: else Flower's expiry of it, which is nobody's
fault, would arrive before the deadline that a silent participant is charged for."""

_LARGE = 16_000_000
"""Bytes of a model from which on replies are pulled one by one, to hold one at a time."""

_FIRST_CONTACT_SECONDS = 120.0
"""The first message also pays for starting the clients' processes (Ray: some 20 s)."""


class RelayStrategy(Strategy):
    """Relay learning as a drop-in for Flower's strategies.

    Parameters
    ----------
    settings : RelaySettings, optional
        All settings at once, or
    **options
        settings by name, as in `RelayStrategy(lanes=2, examiners=7)`; see
        `RelaySettings` for names, defaults and meanings.
    observers : iterable of RelayObserver
        Told about every hop and round.
    chain, store : callable, optional
        Make the chain of blocks and the model store of each run; in memory by default.

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
        observers: Iterable[RelayObserver] = (),
        chain: Callable[[], Chain] = MemoryChain,
        store: Callable[[], ModelStore] = MemoryStore,
        **options: Any,
    ) -> None:
        self.settings = settings or RelaySettings.from_mapping(options)
        self._observers = tuple(observers)
        self._new_chain, self._new_store = chain, store
        self._running: Running | None = None

    def summary(self) -> None:
        """Log the settings that differ from the defaults."""
        defaults = asdict(RelaySettings())
        chosen = {k: v for k, v in asdict(self.settings).items() if v != defaults[k]}
        log(INFO, "\t└──> Relay (%s): %s", self.settings.topology, chosen or "all defaults")

    @property
    def running(self) -> Running:
        """The run in progress; what the hooks below work on."""
        if self._running is None:
            raise RuntimeError("no run is in progress: call start().")
        return self._running

    # The four hooks. A subclass may change one step without touching the loop.

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """One train message for each of `running.addressees` (a hop has one)."""
        return self._messages(server_round, arrays, config, MessageType.TRAIN)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """A hop's candidate: the weights of its one reply, and its metrics."""
        for reply in replies:
            # Not `content.array_records`: its views keep what they showed alive.
            records = [r for r in reply.content.values() if isinstance(r, ArrayRecord)]
            metrics = weighted_metrics([reply.content], self.settings.weighted_by_key)
            return (records[0] if len(records) == 1 else None), metrics
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """One evaluate message for each of `running.addressees` (the committee)."""
        return self._messages(server_round, arrays, config, MessageType.EVALUATE)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """The committee's metrics, averaged as Flower averages them."""
        return weighted_metrics([r.content for r in replies], self.settings.weighted_by_key)

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
        """Run the relay.

        Parameters
        ----------
        grid : flwr.serverapp.Grid
            From the ServerApp, or an `InMemoryGrid`.
        initial_arrays : ArrayRecord
            The genesis model.
        num_rounds : int
            Rounds; a round is one leg per lane. `settings.budget` may end the run sooner.
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
            Its `arrays` are the champion.

        Raises
        ------
        NotEnoughParticipantsError
            When too few nodes connect, or none answers.
        ConfigurationError
            When no node reports the metric that is to vote.
        """
        log(INFO, "Starting %s:", type(self).__name__)
        self.summary()
        result = Result()
        if evaluate_fn and (metrics := evaluate_fn(0, initial_arrays)) is not None:
            result.evaluate_metrics_serverapp[0] = metrics
        self._begin(grid, initial_arrays, num_rounds, timeout, train_config, evaluate_config)
        for _ in range(num_rounds):
            if not self._round(result):
                break
            number, champion = self.running.state.round, self.running.state.champion
            if evaluate_fn:
                metrics = evaluate_fn(number, self.running.model(champion))
                if metrics is not None:
                    result.evaluate_metrics_serverapp[number] = metrics
        result.arrays = self.running.model(self.running.state.champion)
        self.running.tell_end()
        log(INFO, "Relay finished in %.1f s.", self.record.seconds)
        return result

    def _round(self, result: Result) -> bool:
        """One round of the paper; False when the run is over before it."""
        run, settings = self.running, self.settings
        began = time.monotonic()
        left = math.inf if settings.budget is None else settings.budget - run.hops
        self._admit()
        present = run.present()
        if left <= 0 or not present.any():
            log(INFO if left <= 0 else WARNING, "Stopping: %s.",
                "the budget is used" if left <= 0 else "no node is connected")  # fmt: skip
            return False
        rng = generator(settings.seed, run.state.round + 1, "deposits")
        most = int(min(left, run.state.num_participants * settings.slots))
        deposit = decide_deposits(run.state, present, rng, most_hops=most)
        run.record_block(deposit)
        lanes, seconds, trained = relay(self, run, deposit)
        head = run.record_block(Commitment(round=deposit.round, lanes=lanes))
        replies = examine(self, run, head) if settings.examiners else []
        before = [lane.accepted for lane in run.state.lanes]
        run.record_block(decide_settlement(run.state))
        publish(run, before)
        if (metrics := weighted_metrics(trained, settings.weighted_by_key)) is not None:
            result.train_metrics_clientapp[deposit.round] = metrics
        if (metrics := self.aggregate_evaluate(deposit.round, replies)) is not None:
            result.evaluate_metrics_clientapp[deposit.round] = metrics
        self._tell(seconds, time.monotonic() - began)
        return True

    def _begin(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int,
        timeout: float,
        train_config: ConfigRecord | None,
        evaluate_config: ConfigRecord | None,
    ) -> None:
        """Genesis: wait for nodes, ask each what it makes of the first model."""
        settings, metered = self.settings, MeteredGrid(grid)
        courier = Courier(
            metered, settings.straggler_factor, one_by_one=initial_arrays.count_bytes() > _LARGE
        )
        nodes = wait_for_nodes(metered, settings.min_available_nodes, timeout)
        configs = [ConfigRecord(dict(c or {})) for c in (train_config, evaluate_config)]
        content = RecordDict(
            {settings.arrayrecord_key: initial_arrays, settings.configrecord_key: configs[1]}
        )
        patience = max(timeout, _FIRST_CONTACT_SECONDS)
        hello = [
            Message(content, node, MessageType.EVALUATE, ttl=patience + _GRACE) for node in nodes
        ]
        found = answers(nodes, courier.exchange(hello, nodes, patience), settings)
        if settings.examiners:
            check_utility(found, settings)
        bound = self._bound([answer.metric for answer in found if answer.metric is not None])
        store, self.chain = self._new_store(), self._new_chain()
        genesis = Genesis(
            settings=asdict(settings),
            model=store.put(to_arrays(initial_arrays)),
            bound=bound,
            participants=tuple(distinct_names(found, set())),
            utilities=tuple(self._utility(answer, bound) for answer in found),
        )
        self.record = RunRecord(settings=settings, num_rounds=num_rounds)
        self.chain.append(genesis)
        self._running = Running(
            grid=metered,
            courier=courier,
            chain=self.chain,
            store=store,
            state=begin(genesis),
            record=self.record,
            observers=self._observers,
            timeout=timeout,
            train_config=configs[0],
            evaluate_config=configs[1],
            order=tuple(initial_arrays),
            record_bytes=initial_arrays.count_bytes(),
            node_of={index: answer.node_id for index, answer in enumerate(found)},
        )
        self._running.tell_start()

    def _utility(self, answer: Answer, bound: float) -> float | None:
        if answer.metric is None:
            return None
        return bounded_utility(answer.metric, bound, self.settings.utility_rises)

    def _bound(self, metrics: Sequence[float]) -> float:
        """The utility's bound: as set, else twice the genesis model's median loss."""
        settings = self.settings
        if settings.utility_bound is not None:
            return settings.utility_bound
        finite = [value for value in metrics if math.isfinite(value)]
        if settings.utility_rises or not finite:
            return 1.0
        return 2 * float(np.median(finite)) or 1.0

    def _admit(self) -> None:
        """Let in who connected since, and recognise who came back under a new node id."""
        run, settings = self.running, self.settings
        strangers = sorted(set(run.grid.get_node_ids()) - set(run.node_of.values()))
        if not strangers:
            return
        run.addressees, run.extra_config = tuple(strangers), {}
        hello = self.configure_evaluate(
            run.state.round, run.model(run.state.champion), run.evaluate_config, run.grid
        )
        found = answers(strangers, run.courier.exchange(hello, strangers, run.timeout), settings)
        names = run.state.who.names
        connected = set(run.grid.get_node_ids())
        back = {a.node_id: names.index(a.name) for a in found if a.name in names}
        back = {n: i for n, i in back.items() if run.node_of.get(i) not in connected}
        run.node_of.update({index: node for node, index in back.items()})
        fresh = [answer for answer in found if answer.node_id not in back]
        if fresh:
            first = len(names)
            joined = distinct_names(fresh, set(names))
            run.record_block(Admission(round=run.state.round + 1, participants=tuple(joined)))
            run.node_of.update({first + i: answer.node_id for i, answer in enumerate(fresh)})

    def _messages(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, kind: str
    ) -> list[Message]:
        run, settings = self.running, self.settings
        own = ConfigRecord({**config, **run.extra_config, "server-round": server_round})
        content = RecordDict({settings.arrayrecord_key: arrays, settings.configrecord_key: own})
        return [
            Message(content, node, kind, ttl=run.timeout + _GRACE, group_id=str(server_round))
            for node in run.addressees
        ]

    def _tell(self, hop_seconds: dict[int, float], round_seconds: float) -> None:
        """Rows of the settled round, for the record and who watches."""
        run = self.running
        state, settled = run.state, run.state.settlement
        if settled is None:
            return
        for lane, result in enumerate(settled.lanes):
            for position, hop in enumerate(result.hops):
                run.tell_hop(
                    HopRow(
                        round=state.round, lane=lane, position=position, trainer=hop.trainer,
                        base=hop.base, model=hop.model, outcome=hop.outcome, vote=hop.vote,
                        seconds=hop_seconds.get(hop.trainer, 0.0),
                    )
                )  # fmt: skip
        scores = [result.score for result in settled.lanes if result.score is not None]
        run.tell_round(
            RoundRow(
                round=state.round, hops=run.hops, accepted=int(state.who.accepted.sum()),
                rejected=int(state.who.rejected.sum()), utility=max(scores, default=None),
                legs=tuple(lane.leg for lane in state.lanes), champion=state.champion,
                seconds=round_seconds,
            )
        )  # fmt: skip

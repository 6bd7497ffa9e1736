"""RelayStrategy on the in-memory grid, with real training on real data."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict

from clients.client_app import app as lineup_app
from clients.hostile import is_hostile
from flower_relay import ConfigurationError, InMemoryGrid, NotEnoughParticipantsError, RelayStrategy
from flower_relay.mechanism import blocks
from flower_relay.rules.coins import COIN
from tests.signers import same_run
from tests.worlds import accuracy, digits_grid, first_model, quickstart_app

OWN = {"utility_key": "eval_bounded_loss"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_leg": 1},
        {"lanes": 2, "lanes_meet": "select"},
        {"lanes": 2, "lanes_meet": "average"},
        {"lanes": 2, "lanes_meet": "momentum"},
        {"lanes": 2, "lanes_meet": "adam"},
        {"lanes": "auto"},
        {"examiners": 0},
        {"rewards": "royalty"},
    ],
    ids=str,
)
def test_a_chain_learns_digits(options: dict[str, object]) -> None:
    strategy = RelayStrategy(budget=60, **OWN, **options)
    result = strategy.start(digits_grid(), first_model(), num_rounds=60, timeout=60)
    assert len(strategy.record.hops) == 60
    assert accuracy(result.arrays) > 0.85


def test_the_papers_fan_out_learns_digits_and_pays_royalties() -> None:
    strategy = RelayStrategy(topology="fan-out", rewards="royalty", trail=0.0, **OWN)
    result = strategy.start(digits_grid(), first_model(), num_rounds=12, timeout=60)
    assert accuracy(result.arrays) > 0.6
    assert strategy.running.state.minted["royalty"] > 0


def test_the_same_seed_gives_the_same_ledger_whatever_the_node_ids() -> None:
    heads = []
    for first in (1001, 77):
        node_ids = random.Random(first).sample(range(first, first + 500), 8)
        grid = InMemoryGrid(lineup_app, 8, run_config=dict(digits_grid()._run_config),
                            node_ids=node_ids)  # fmt: skip
        strategy = RelayStrategy(seed=3, budget=20, **OWN, **same_run())
        strategy.start(grid, first_model(), num_rounds=20, timeout=60)
        heads.append(strategy.chain.head)
    assert heads[0] == heads[1]


def test_a_second_start_begins_anew_and_leaves_the_callers_config_alone() -> None:
    strategy = RelayStrategy(budget=12, **OWN, **same_run())
    config = ConfigRecord({"lr": 0.1})
    heads = []
    for _ in range(2):
        strategy.start(digits_grid(), first_model(), 12, train_config=config)
        heads.append(strategy.chain.head)
    assert heads[0] == heads[1]
    assert dict(config) == {"lr": 0.1}


def misbehaving(message: Message, context: Context) -> Message:
    """The line-up's app, in which node 1 raises and node 2 sends NaN when they train."""
    number = context.node_config["partition-id"]
    if message.metadata.message_type == "train" and number == 1:
        raise RuntimeError("out of memory")
    reply = lineup_app(message, context)
    if message.metadata.message_type == "train" and number == 2:
        reply.content.pop("relay-parcel", None)
        arrays = first_model()
        broken = {k: Array(np.full_like(v.numpy(), np.nan)) for k, v in arrays.items()}
        reply.content["arrays"] = ArrayRecord(broken)
    return reply


def test_one_hangs_one_errs_one_leaves_one_sends_nan_and_the_run_goes_on() -> None:
    config = dict(digits_grid()._run_config)
    grid = InMemoryGrid(misbehaving, 8, run_config=config)
    strategy = RelayStrategy(max_leg=2, **OWN)

    class Unplug:
        """Node 0 falls silent and node 3 leaves, each just as it is asked to train."""

        def __init__(self) -> None:
            self.push = grid.push_messages

        def __call__(self, messages: list[Message]) -> list[str]:
            for message in messages:
                node = message.metadata.dst_node_id
                if message.metadata.message_type == "train" and node == 1001:
                    grid.silence(node)
                if message.metadata.message_type == "train" and node == 1004:
                    grid.leave(node)
            return list(self.push(messages))

    grid.push_messages = Unplug()  # type: ignore[method-assign, assignment]
    result = strategy.start(grid, first_model(), num_rounds=40, timeout=0.5)
    outcomes: dict[int, set[str]] = {}
    for hop in strategy.record.hops:
        outcomes.setdefault(hop.trainer, set()).add(hop.outcome)
    assert outcomes[0] == {"timeout"}
    assert outcomes[1] == {"error"}
    assert outcomes[2] == {"non-finite"}
    assert outcomes[3] == {"left"}
    assert strategy.record.participants[3].rejected == 0
    assert len(strategy.record.rounds) == 40
    assert accuracy(result.arrays) > 0.8


def test_who_is_caught_trains_less_and_less() -> None:
    strategy = RelayStrategy(budget=80, **OWN)
    grid = digits_grid(hostile="sign-flip+liar", hostile_share=0.25)
    result = strategy.start(grid, first_model(), num_rounds=80, timeout=60)
    rows = strategy.record.participants
    hostile = [row for row in rows if is_hostile(int(row.name.split("-")[-1]), 8, 0.25, 0)]
    assert len(hostile) == 2
    assert all(row.rejected for row in hostile)
    hops = {row.index: row.accepted + row.rejected for row in rows}
    honest = [hops[row.index] for row in rows if row not in hostile]
    assert max(hops[row.index] for row in hostile) < np.median(honest)
    assert accuracy(result.arrays) > 0.85


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        ("nan", "non-finite"),
        ("wrong-shape", "mis-shaped"),
        ("huge:2", "mis-shaped"),
        ("free-ride", "unchanged"),
        ("copycat", "copied"),
        ("noise", "rejected"),
    ],
)
def test_hostile_trainers_earn_nothing_by_contribution(behaviour: str, outcome: str) -> None:
    strategy = RelayStrategy(budget=40, max_leg=1, **OWN)
    grid = digits_grid(hostile=behaviour, hostile_share=0.25)
    strategy.start(grid, first_model(), num_rounds=40, timeout=60)
    # A copycat whose model of before is the very base it was sent now changes nothing.
    outcomes = {outcome, "unchanged"} if outcome == "copied" else {outcome}
    found = {hop.trainer for hop in strategy.record.hops if hop.outcome in outcomes}
    hostile = {row.index for row in strategy.record.participants if row.rejected}
    assert found
    paid = {
        payment.participant
        for block in strategy.chain
        if isinstance(block, blocks.Settlement)
        for payment in block.payments
        if payment.rule == "contribution"
    }
    never = {index for index in hostile if strategy.record.participants[index].accepted == 0}
    assert not paid & never


def small_net() -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 2)
        )


def test_a_quickstart_client_app_works_as_it_is() -> None:
    net = small_net()
    grid = InMemoryGrid(quickstart_app(small_net), num_supernodes=5)
    strategy = RelayStrategy(budget=30)
    result = strategy.start(grid, ArrayRecord(net.state_dict()), num_rounds=30)
    state = result.arrays.to_torch_state_dict()
    net.load_state_dict(state)  # names, shapes and types survive the journey
    assert state["1.num_batches_tracked"].dtype == torch.int64
    assert int(state["1.num_batches_tracked"]) > 10
    losses = [metrics["eval_loss"] for metrics in result.evaluate_metrics_clientapp.values()]
    assert losses[-1] < losses[0]
    assert result.train_metrics_clientapp[1]["train_loss"] > 0


def test_a_metric_that_nobody_reports_is_refused_with_what_there_is() -> None:
    grid = InMemoryGrid(quickstart_app(small_net), num_supernodes=3)
    with pytest.raises(ConfigurationError, match=r"'loss'.*eval_acc, eval_loss, num-examples"):
        RelayStrategy(utility_key="loss").start(grid, ArrayRecord(small_net().state_dict()))


def test_a_metric_that_rises_may_vote() -> None:
    grid = InMemoryGrid(quickstart_app(small_net), num_supernodes=5)
    strategy = RelayStrategy(utility_key="eval_acc", utility_rises=True, budget=20)
    strategy.start(grid, ArrayRecord(small_net().state_dict()), num_rounds=20)
    utilities = [row.utility for row in strategy.record.rounds if row.utility is not None]
    assert utilities[-1] > utilities[0]


def test_too_few_nodes_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(NotEnoughParticipantsError, match=r"1 of at least 2 .*min_available_nodes"):
        RelayStrategy().start(digits_grid(1), first_model(), timeout=0.1)


def test_who_joins_later_is_on_probation_and_weighs_what_its_hops_earned() -> None:
    grid = digits_grid(6, partition="iid")
    strategy = RelayStrategy(budget=40, **OWN)
    original: Callable[..., object] = grid.get_node_ids
    grid._num_partitions = 7
    calls = 0

    def later() -> object:
        nonlocal calls
        calls += 1
        if calls == 20:
            grid.join(4242)
        return original()

    grid.get_node_ids = later  # type: ignore[method-assign, assignment]
    strategy.start(grid, first_model(), num_rounds=40, timeout=60)
    newcomer = strategy.record.participants[6]
    assert newcomer.name == "partition-id-6"
    assert newcomer.accepted > 0
    (weight,) = strategy.running.state.weights_of([0, 6])[1:]
    assert 0 < weight <= 0.1 * newcomer.accepted


def test_garbage_from_an_examiner_is_no_vote() -> None:
    def odd(message: Message, context: Context) -> Message:
        number = context.node_config["partition-id"]
        if message.metadata.message_type == "evaluate" and number == 0:
            return Message(RecordDict(), reply_to=message)
        if message.metadata.message_type == "evaluate" and number == 1:
            metrics = MetricRecord({"eval_bounded_loss": [1.0, 2.0], "num-examples": 3})
            return Message(RecordDict({"metrics": metrics}), reply_to=message)
        return lineup_app(message, context)

    grid = InMemoryGrid(odd, 6, run_config=dict(digits_grid()._run_config))
    strategy = RelayStrategy(budget=12, **OWN, **same_run())
    strategy.start(grid, first_model(), num_rounds=12, timeout=60)
    names = [row.name for row in strategy.record.participants]
    silent = [names.index(name) for name in names if name.startswith("node-")]
    for block in strategy.chain:
        if isinstance(block, blocks.Testing):
            for row in block.utilities:
                votes = dict(zip(block.committee, row, strict=True))
                assert all(votes.get(index) is None for index in silent)


def test_a_lineage_is_paid_for_what_it_rose_and_no_more() -> None:
    """Every hop of legs of one is measured. Half of what the mark is worth and was not paid yet
    is paid each cycle: what is minted follows the mark, and stays below it."""
    strategy = RelayStrategy(max_leg=1, budget=24, examiners=7, seed=0)
    strategy.start(digits_grid(8), first_model(), num_rounds=24)
    state = strategy.running.state
    mark = state.lineage[state.lanes[0].baton].mark
    assert mark > 0.1
    paid: Counter[int] = Counter()
    for block in strategy.chain:
        for payment in block.payments if isinstance(block, blocks.Settlement) else ():
            paid[block.round] += payment.units * (payment.rule == "contribution")
    due = mark * 100 * COIN - state.minted["contribution"]
    last = paid[max(number for number, units in paid.items() if units)]
    assert last == pytest.approx(due, abs=2)  # as much is left as was paid last, but for rounding

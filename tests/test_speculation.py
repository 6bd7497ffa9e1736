"""Speculation: what is sent ahead changes no honest ledger, and is paid for when rolled back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from flwr.app import Context, Message

from bench.kill import client, genesis_model
from flower_relay import ConfigurationError, InMemoryGrid, RelayStrategy
from flower_relay.blocks import Block, Deposit, HopClaim, Settlement
from flower_relay.blocks import Testing as Examined  # pytest would take it for a test
from flower_relay.mods import relay_mod
from flower_relay.statements import Hop, attests
from tests.signers import OPTIONS as SIGNED
from tests.signers import App, descending, fixed_keys, found_in, genesis_of, verify, weights
from tests.worlds import CountingGrid

HONEST = [n for n in range(20) if n % 5 != 3]
"""Partitions of bench.kill's client that are not hostile."""


class Eager(InMemoryGrid):
    """Whoever trains answers before whoever examines: legs get as far ahead as they can."""

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        wanted = set(message_ids)
        trains = [
            key
            for key, message in self._waiting.items()
            if key in wanted and message.metadata.message_type == "train"
        ]
        return super().pull_messages(trains[:1] or wanted)


def grid_of(app: App, partitions: Sequence[int], kind: type[InMemoryGrid] = Eager) -> InMemoryGrid:
    grid = kind(app, 0)
    for number in partitions:
        grid.join(1001 + number, partition_id=number)
    return grid


def play(grid: InMemoryGrid, rounds: int = 12, **options: Any) -> RelayStrategy:
    strategy = RelayStrategy(
        **{"seed": 1, "examiners": 5, "max_leg": 3, "deposit_unit": 0.0} | options
    )
    strategy.start(grid, genesis_model(), num_rounds=rounds, timeout=30)
    return strategy


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rewards", ["contribution", "royalty"])
@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("kind", [Eager, InMemoryGrid])
def test_an_honest_ledger_is_the_same_with_speculation_or_without(
    kind: type[InMemoryGrid], lanes: int, rewards: str, seed: int
) -> None:
    options = {"lanes": lanes, "lanes_meet": "average", "rewards": rewards, "seed": seed}
    plain, ahead = (
        play(grid_of(client, HONEST[:12], kind), speculate=speculate, **options)
        for speculate in (False, True)
    )
    assert list(ahead.chain) == list(plain.chain)
    assert ahead.chain.head == plain.chain.head
    assert ahead.record.messages == plain.record.messages  # nothing was trained for nothing
    assert ahead.record.hops_rolled_back == plain.record.hops_ahead == 0
    assert ahead.record.hops_ahead > len(ahead.record.hops) / 4


def test_at_the_end_of_a_cycle_pay_decides_and_nothing_is_sent_ahead() -> None:
    """Of eight, one, two and three train, and the last two; only the first of a cycle waits."""
    strategy = play(grid_of(client, HONEST[:8]), speculate=True, rounds=8)
    deposits = [block for block in strategy.chain if isinstance(block, Deposit)]
    first = [now for now, then in zip(deposits, [None, *deposits], strict=False)
             if then is None or now.cycle > then.cycle]  # fmt: skip
    waiting = sum(len(block.lanes[0].trainers) for block in first)
    assert strategy.record.hops_ahead == len(strategy.record.hops) - waiting


class Late(CountingGrid, Eager):
    """Its last node connects once a few have trained, while legs are tested and sent ahead."""

    def get_node_ids(self) -> list[int]:
        nodes = list(super().get_node_ids())
        return nodes if self.trained >= 4 else nodes[:-1]


def test_a_newcomer_changes_the_order_of_turns_and_nothing_is_lost_but_work() -> None:
    runs = [play(grid_of(client, HONEST[:12], Late), 5, speculate=True, seed=n) for n in range(6)]
    assert sum(run.record.hops_rolled_back for run in runs) > 0
    for run in runs:
        assert len(run.running.state.who.names) == 12
        assert verify(run.chain).ok
        assert not any(block.ahead for block in run.chain if isinstance(block, Examined))
        assert {hop.outcome for hop in run.record.hops} == {"accepted"}


@pytest.fixture(scope="module")
def attacked() -> RelayStrategy:
    """A fifth of the trainers hand in noise; everybody has coins to lock."""
    options = {"deposit_unit": 0.001, "lanes": 1, "seed": 0}
    return play(grid_of(client, range(12)), speculate=True, rounds=30, **options)


def failed(blocks: Iterable[Block]) -> list[tuple[Examined, Settlement]]:
    """Tests that name who was ahead, and the settlements after them."""
    return [
        (tested, settled)
        for tested, settled in pairwise(blocks)
        if isinstance(tested, Examined) and isinstance(settled, Settlement) and tested.ahead
    ]


def test_where_a_leg_fails_who_was_ahead_is_compensated_like_its_voided_hops(
    attacked: RelayStrategy,
) -> None:
    assert verify(attacked.chain).ok
    paid_ahead = 0
    for tested, settled in failed(attacked.chain):
        [lane], [ahead] = settled.lanes, tested.ahead
        assert lane.passed is False
        paid = {rule: Counter[int]() for rule in ("forfeit", "compensation")}
        for payment in settled.payments:
            if payment.rule in paid:
                paid[payment.rule][payment.participant] += payment.units
        culprits = [hop.trainer for hop in lane.hops if hop.outcome == "rejected"]
        voided = [hop.trainer for hop in lane.hops if hop.outcome == "voided"]
        forfeited = sum(paid["forfeit"][trainer] for trainer in culprits)
        share = forfeited // (len(voided) + len(ahead))
        expected = {trainer: share for trainer in (*voided, *(hop.trainer for hop in ahead))}
        assert paid["compensation"] == {who: units for who, units in expected.items() if units}
        paid_ahead += share * len(ahead)
    assert paid_ahead > 0


def test_who_was_rolled_back_has_its_turn_all_the_same(attacked: RelayStrategy) -> None:
    blocks = list(attacked.chain)
    tested, _ = failed(blocks)[0]
    trainer = tested.ahead[0][0].trainer
    later = [block for block in blocks if isinstance(block, Deposit) and block.round > tested.round]
    turn = next(block for block in later if trainer in block.lanes[0].trainers)
    assert turn.cycle == next(
        block.cycle
        for block in blocks
        if isinstance(block, Deposit) and block.round == tested.round
    )


def test_a_fault_ahead_of_its_deposit_costs_nothing_and_the_hop_is_asked_for_again() -> None:
    tried = Counter[int]()

    def failing_first(message: Message, context: Context) -> Message:
        number = int(context.node_config["partition-id"])
        if message.metadata.message_type == "train":
            tried[number] += 1
            if tried[number] == 1 and number == 2:
                raise ValueError("out of memory")
        return client(message, context)

    found = {}
    for speculate in (False, True):
        tried.clear()
        strategy = play(grid_of(failing_first, HONEST[:12]), speculate=speculate, rounds=6, seed=4)
        found[speculate] = Counter(hop.outcome for hop in strategy.record.hops)
        assert verify(strategy.chain).ok
    assert found[False]["error"] == 1
    assert found[True]["error"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"topology": "fan-out"}, "topology = 'fan-out'"),
        ({"lanes": 2}, "lanes_meet = 'select'"),
        ({"examiners": 0}, "examiners = 0"),
    ],
)
def test_where_tests_decide_more_than_pass_or_fail_speculation_is_refused(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        RelayStrategy(speculate=True, **options)


# Participants who sign.


def backwards(message: Message, context: Context) -> Message:
    """A fifth of the way to 1; the third participant goes the other way."""

    def turned(inner: Message, _: Context) -> Message:
        reply = descending([])(inner, context)
        if inner.metadata.message_type == "train" and context.node_config["partition-id"] == 2:
            record = reply.content["arrays"]
            record["w"] = type(record["w"])(weights(inner) - 2.0)
        return reply

    return relay_mod(message, context, turned)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> list[Block]:
    """The same at every run: fixed keys, and no nonces in the draws of who examines."""
    keys = fixed_keys(tmp_path_factory.mktemp("keys"), 9)
    grid = Eager(backwards, 9, run_config={"relay-keys-dir": str(keys)})
    options = SIGNED | {"speculate": True, "max_leg": 3, "nonces": 0}
    return list(play(grid, rounds=8, **options).chain)


def at(blocks: Sequence[Block]) -> tuple[int, Examined]:
    """Where the first test is that names who was ahead."""
    return next((i, b) for i, b in enumerate(blocks) if isinstance(b, Examined) and b.ahead)


def test_who_was_ahead_is_so_by_its_own_signature(signed: list[Block]) -> None:
    assert verify(signed).ok
    genesis, run = genesis_of(signed)
    _, tested = at(signed)
    for claim in tested.ahead[0]:
        hop = Hop(run=run, round=tested.round + 1, parent=claim.base, model=claim.handed_in or "")
        assert attests(genesis.participants[claim.trainer], hop, claim.signature)


Change = Callable[[tuple[HopClaim, ...]], tuple[HopClaim, ...]]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda lane: (replace(lane[0], signature=None),), "testing.ahead[0][0].signature"),
        (lambda lane: (replace(lane[0], model="5e" * 32),), "testing.ahead[0][0].signature"),
        (lambda lane: (lane[0], lane[0]), "testing.ahead[0][1].trainer"),
        (lambda lane: (), "testing.ahead"),
    ],
)
def test_the_operator_names_nobody_ahead_who_was_not(
    signed: list[Block], change: Change, field: str
) -> None:
    index, tested = at(signed)
    [lane] = tested.ahead
    changed = replace(tested, ahead=(change(lane),))
    assert found_in([*signed[:index], changed]) == (index, field)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"base": "5e" * 32}, "testing.ahead[0][0].base"),
        ({"fault": "error"}, "testing.ahead[0][0].fault"),
        ({"sent": "5e" * 32}, "testing.ahead[0][0].sent"),
    ],
)
def test_nor_on_what_it_likes(attacked: RelayStrategy, change: dict[str, str], field: str) -> None:
    blocks = list(attacked.chain)
    index, tested = at(blocks)
    ahead = (tuple(replace(claim, **change) for claim in tested.ahead[0][:1]),)
    assert found_in([*blocks[:index], replace(tested, ahead=ahead)]) == (index, field)


def test_nor_anybody_where_no_leg_failed(attacked: RelayStrategy) -> None:
    blocks = list(attacked.chain)
    _, named = at(blocks)
    index = next(
        i
        for i, (tested, settled) in enumerate(pairwise(blocks))
        if isinstance(tested, Examined)
        and isinstance(settled, Settlement)
        and settled.lanes[0].passed
    )
    passed = blocks[index]
    assert isinstance(passed, Examined)
    invented = replace(passed, ahead=named.ahead)
    assert found_in([*blocks[:index], invented]) == (index, "testing.ahead")

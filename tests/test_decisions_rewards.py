"""When a chain pays for contribution, and whom: two cycles worked out by hand."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import asdict

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message

from flower_relay import InMemoryGrid, RelaySettings, RelayStrategy
from flower_relay.mechanism import blocks
from flower_relay.mechanism.apply import apply
from flower_relay.mechanism.deposit import decide_deposits
from flower_relay.mechanism.payments import Tally
from flower_relay.mechanism.randomness import generator
from flower_relay.mechanism.settlement import decide_settlement
from flower_relay.mechanism.state import begin
from flower_relay.mechanism.testing import audit_terms, decide_tests
from flower_relay.rules.coins import COIN, to_units
from flower_relay.rules.gate import EXPECTED
from tests.signers import descending

SETTINGS = RelaySettings(max_leg=1, examiners=4, planted=0.0, deposit_unit=0.0)


class ByHand:
    """Four participants; each round, the model reaches a level and its step adds something."""

    def __init__(self) -> None:
        genesis = blocks.Genesis(
            settings=asdict(SETTINGS), model="genesis", bound=1.0,
            participants=("a", "b", "c", "d"), utilities=(0.5,) * 4,
        )  # fmt: skip
        self.state = begin(genesis)
        # They have seen so many steps of 1/64 that a few more do not change what is usual, by which
        # everything is divided and multiplied: a power of two, so that coins are exact.
        self.state.who.steps_seen[:] = 2**62
        self.state.who.step_squares[:] = 2.0**50
        self.level = {"genesis": 0.5}

    def round(
        self, level: float, step: float, present: tuple[int, ...] = (0, 1, 2, 3)
    ) -> tuple[int, dict[int, float]]:
        """Play a round; the trainer, and the coins that contribution paid."""
        state, number = self.state, self.state.round + 1
        draw = generator(0, number, "deposits")
        here = np.isin(np.arange(4), present)
        apply(state, decide_deposits(state, here, draw, most_hops=9))
        deposit, model = state.deposit, f"model {number}"
        assert deposit is not None
        ((trainer,),) = (terms.trainers for terms in deposit.lanes)
        claim = blocks.HopClaim(
            trainer=trainer, base=deposit.lanes[0].base, model=model, fault=None
        )
        commitment = blocks.Commitment(round=number, lanes=((claim,),))
        apply(state, commitment)
        self.level[model] = level
        self.examine(deposit, commitment, step)
        settled = decide_settlement(state)
        apply(state, settled)
        batons = (settled.lanes[0].baton,)
        apply(state, blocks.Publication(
            round=number, batons=batons, merged_from=(), trails=batons, champion=batons[0],
        ))  # fmt: skip
        self.vested = self.paid(settled, "vesting")
        return trainer, self.paid(settled, "contribution")

    def next_trainer(self) -> int:
        """Who trains next, where all are there."""
        draw = generator(0, self.state.round + 1, "deposits")
        deposit = decide_deposits(deepcopy(self.state), np.ones(4, bool), draw, most_hops=9)
        return deposit.lanes[0].trainers[0]

    def cycle(self, *steps: float) -> list[int]:
        """Play a round at 0.60 for each step, four of nothing by default; who trained."""
        return [self.round(0.60, step)[0] for step in steps or (0.0,) * 4]

    @staticmethod
    def paid(settled: blocks.Settlement, rule: str) -> dict[int, float]:
        return {p.participant: p.units / COIN for p in settled.payments if p.rule == rule}

    def examine(self, deposit: blocks.Deposit, commitment: blocks.Commitment, step: float) -> None:
        plan = decide_tests(self.state, "head", deposit, commitment)
        audits = len(audit_terms(self.state, commitment, plan.audited))
        assert audits == 1  # of so few participants all are audited
        seen = {name: self.level[name] for name in plan.models}
        seen |= {"reference": 0.5, "probe": 0.5 + step}
        apply(self.state, blocks.Testing(
            round=deposit.round, committee=plan.committee, audited=plan.audited, planted=(),
            models=tuple(seen), references=("reference",), probes=("probe",),
            utilities=tuple((level,) * len(plan.committee) for level in seen.values()),
        ))  # fmt: skip


def test_half_of_a_cycles_rise_is_paid_at_its_end_by_what_steps_added() -> None:
    run = ByHand()
    first, paid = run.round(level=0.60, step=0.005)  # half a hop: it counts twice
    assert paid == {}
    second, paid = run.round(level=0.55, step=0.03)  # added most, whatever the baton says
    assert paid == {}
    _, paid = run.round(level=0.70, step=-0.02)
    assert paid == {}
    _, paid = run.round(level=0.70, step=0.0)
    # From 0.5 to 0.7 at 100 coins a whole: 20, half of it now, one part to three.
    assert paid == {first: 2.5, second: 7.5}


@pytest.mark.parametrize(("founder", "counted"), [(True, 0.5), (False, 1.0)])
def test_a_founder_is_paid_for_as_much_as_its_bond(founder: bool, counted: float) -> None:
    """Whose votes the others contradict is paid less; who joined later began without one."""
    run = ByHand()
    first, second, _ = run.cycle(0.005, 0.03, 0.0)  # the first is half a hop
    run.state.who.bond[first], run.state.who.founder[first] = 0.5, founder
    _, paid = run.round(level=0.60, step=0.0)
    points = {first: counted, second: 3.0}  # of half of 10 coins
    assert paid == pytest.approx({who: 5 * part / (3 + counted) for who, part in points.items()})


def test_a_rise_to_which_nobody_adds_goes_to_those_whose_hops_it_stands_on() -> None:
    run = ByHand()
    first, second, *_ = run.cycle(0.005, 0.03, 0.0, 0.0)  # the first is half a hop
    for _ in range(3):
        assert run.round(level=0.60, step=0.0)[1] == {}
    # 20 coins for 0.5 to 0.7, less the 5 of the first cycle: half of 15, one part to three.
    assert run.round(level=0.70, step=0.0)[1] == {first: 1.875, second: 5.625}


def test_the_half_that_waits_goes_by_the_points_of_the_next_cycles_too() -> None:
    run = ByHand()
    first, second, third, _ = run.cycle(0.005, 0.03, 0.0, 0.0)  # the first is half a hop
    steps = {first: 0.0, second: 0.0, third: 0.036}
    for _ in range(3):
        run.round(level=0.60, step=steps.get(run.next_trainer(), 0.0))
    _, paid = run.round(level=0.60, step=steps.get(run.next_trainer(), 0.0))
    # Nothing rose: half of the 5 that wait. Nine tenths of 1 and 3, and 3.6 of this cycle's.
    assert paid == pytest.approx({first: 0.3125, second: 0.9375, third: 1.25})


def test_who_undoes_what_it_added_is_not_paid_for_it() -> None:
    run = ByHand()
    first, second, third, fourth = run.cycle(0.01, 0.01, 0.04, -0.01)  # the first is half a hop
    # Half of 10 coins for a rise of a tenth, by points of 2, 1 and 4; the fourth has no share.
    locked = run.state.who.locked[[first, second, third, fourth]] / COIN
    assert locked == pytest.approx(np.array([10, 5, 20, 0]) / 7)
    steps = {first: -0.03, second: 0.011, third: -0.006, fourth: 0.019}
    for _ in range(3):
        run.round(level=0.60, step=steps[run.next_trainer()])
    _, paid = run.round(level=0.80, step=steps[run.next_trainer()])
    # Nine tenths of 2, 1, 4 and -1, and this cycle's: -1.2, 2, 3 and 1. Half of 30 less 5 is due.
    assert paid == pytest.approx({second: 12.5 / 3, third: 12.5 / 2, fourth: 12.5 / 6})


def test_pay_vests_by_fifths_after_four_cycles_and_not_to_who_is_in_debt() -> None:
    run = ByHand()
    first, second, *_ = run.cycle(0.005, 0.03, 0.0, 0.0)  # the first is half a hop
    who = run.state.who  # half of 10 coins for a rise of a tenth: 1.25 and 3.75
    assert who.locked[[first, second]].tolist() == [1.25 * COIN, 3.75 * COIN]
    run.state.minted["contribution"] = 10 * COIN  # as if nothing were left to pay
    for _ in range(4):
        run.cycle()
        assert run.vested == {}
    run.cycle()
    assert run.vested == {first: 0.25, second: 0.75}
    who.vote_debt[second] = 2.1  # more than a half after a hop of this cycle
    run.cycle()
    assert run.vested == {first: 0.2}  # a fifth of what is left
    assert who.locked[second] == 3 * COIN  # not lost: it waits
    who.vote_debt[second] = 0.0
    run.cycle()
    assert run.vested == {first: 0.16, second: 0.6}


def test_who_connects_late_does_not_have_a_cycle_paid_twice() -> None:
    run = ByHand()

    def cycle() -> None:
        for _ in range(3):
            run.round(level=0.60, step=0.01, present=(0, 1, 2))

    cycle()
    assert run.state.minted["contribution"] == 5 * COIN
    for number in range(5):
        late = run.round(level=0.60, step=0.01)  # the fourth, in a cycle that was over
        assert (run.state.cycle, run.vested, late) == (number, {}, (3, {}))
        cycle()
    assert run.state.cycle == 5
    assert sum(run.vested.values()) == pytest.approx(1.0)  # a fifth of the first cycle's
    run.round(level=0.60, step=0.01)
    assert (run.state.cycle, run.vested) == (5, {})


def test_income_is_what_can_be_spent() -> None:
    run = ByHand()
    run.cycle(*[0.01] * 4)
    fees = run.state.minted["examining"]
    assert run.state.minted["contribution"] == 5 * COIN
    assert run.state.who.income.sum() == fees
    for _ in range(4):
        run.cycle()
    fees = run.state.minted["examining"]
    run.cycle()
    assert run.state.who.income.sum() == COIN + run.state.minted["examining"] - fees


def test_a_hop_is_forgiven_what_is_left_of_bonds() -> None:
    state = ByHand().state
    state.who.examined[:], state.who.bond[:] = 1, [1.0, 1.0, 0.0, 0.0]
    tally = Tally(state)
    tally.judge_hop(0, float("nan"), rejected=True)
    assert tally.debt_of(0) == pytest.approx(1 + 1 - 0.15)  # half of 0.3


def test_everybody_begins_in_debt_of_one_where_hops_are_measured() -> None:
    state = ByHand().state
    apply(state, blocks.Admission(round=1, participants=("e",)))
    assert state.who.debt.tolist() == [1.0] * 5
    assert [state.stride(index) for index in range(5)] == [0.5] * 5
    untested = asdict(SETTINGS) | {"examiners": 0}
    genesis = blocks.Genesis(
        settings=untested, model="genesis", bound=1.0, participants=("a",), utilities=(0.5,)
    )
    assert begin(genesis).who.debt.tolist() == [0.0]


def test_a_founder_takes_a_whole_first_hop_once_examiners_agree_and_the_run_has_risen() -> None:
    state = ByHand().state
    apply(state, blocks.Admission(round=1, participants=("e",)))
    state.who.examined[:3], state.mark = 1, 0.5 * SETTINGS.tolerance
    state.who.rejected[1] = 1
    strides = [state.stride(index) for index in range(5)]
    assert strides == [1.0, 0.5, 1.0, 1.0, 0.5]  # who was rejected, and who joined, owe it still
    state.who.bond[0] = 0.8  # 2.8 of 3 are left to those who have examined
    assert [state.stride(index) for index in range(5)] == [0.5] * 5


def test_names_that_still_earn_their_weight_do_not_make_a_run_cautious() -> None:
    state = ByHand().state
    apply(state, blocks.Admission(round=1, participants=("e", "f")))
    state.who.examined[:], state.mark = 1, 0.5 * SETTINGS.tolerance
    for accepted in (0, 1, 19):  # with twenty they have earned all of it
        state.who.bond[4:], state.who.accepted[4:] = 0.1, accepted
        assert not state.cautious
    state.who.accepted[4:] = 20
    assert state.cautious


def test_only_examiners_that_are_here_make_a_run_cautious() -> None:
    run = ByHand()
    run.round(level=0.60, step=0.0)
    run.state.who.examined[:], run.state.who.bond[0] = 1, 0.0
    assert run.state.cautious
    run.round(level=0.60, step=0.0, present=(1, 2, 3))
    assert not run.state.cautious


def test_a_debt_that_was_waived_is_not_booked() -> None:
    run = ByHand()
    run.cycle()  # the first hop gains 0.1, nearly a tolerance; nobody is ranked yet
    assert sorted(run.state.who.vote_debt.tolist()) == pytest.approx([0.0, 0.0, 0.0, 0.7])


def test_hops_tell_what_is_usual_in_tolerances_of_their_own_stride() -> None:
    run = ByHand()
    run.cycle()  # everybody's first hop is half a hop; the first of them gains 0.1
    line = 0.25 * SETTINGS.tolerance  # its own; in the mean 0.1 counts as three of it
    halved = 3 * line / (0.5 * SETTINGS.tolerance)
    assert run.state.margins[:4] == pytest.approx([*EXPECTED, halved])
    run.state.who.vote_debt[:] = run.state.who.audit_debt[:] = 0.0
    before = list(run.state.margins)
    run.round(level=0.71, step=0.0)
    assert run.state.margins == pytest.approx([*before, 1.0])


@pytest.mark.parametrize("before", [0, 3])
def test_a_hop_one_and_a_half_tolerances_down_is_rejected_whatever_its_trainer_did(
    before: int,
) -> None:
    run = ByHand()
    run.state.margins = [0.0]  # no leeway
    run.state.who.accepted[:], run.state.who.vote_debt[:] = before, 0.0
    run.round(level=0.5 - 1.5 * SETTINGS.tolerance, step=0.0)
    assert run.state.settlement is not None
    assert run.state.settlement.lanes[0].hops[0].outcome == "rejected"


def test_a_cycle_has_an_order_of_its_own_among_those_who_can_pay_as_much() -> None:
    orders = set()
    for seed in range(6):
        run = ByHand()
        run.state.who.coins[:] = np.array([12, 15, 17, 19]) * COIN // 10
        draw = generator(seed, 1, "deposits")
        deposit = decide_deposits(run.state, np.ones(4, bool), draw, most_hops=9)
        orders.add(deposit.lanes[0].trainers)
    assert len(orders) > 1  # 1.9 coins bid no more than 1.2


def test_no_rise_no_pay() -> None:
    run = ByHand()
    paid = [run.round(level=0.5, step=0.1)[1] for _ in range(8)]
    assert paid == [{}] * 8
    assert run.state.minted["contribution"] == 0


def test_what_falls_and_rises_again_is_paid_once() -> None:
    run = ByHand()
    for level in (0.6, 0.6, 0.6, 0.6, 0.56, 0.6, 0.58, 0.6):
        run.round(level=level, step=0.01)
    # Half of 10 coins, then half of the 5 that wait: the second rise to 0.6 adds nothing.
    assert run.state.minted["contribution"] == 7.5 * COIN


def test_an_examiner_is_paid_as_its_vote_weighs() -> None:
    """The third participant says the opposite: its bond falls, and with it its fees."""

    def opposite(message: Message, context: Context) -> Message:
        reply = descending([])(message, context)
        if message.metadata.message_type == "evaluate" and context.node_config["partition-id"] == 2:
            reply.content["metrics"]["eval_loss"] = 1.0 - reply.content["metrics"]["eval_loss"]
        return reply

    strategy = RelayStrategy(
        seed=2, examiners=5, deposit_unit=0.0, planted=0.0, tolerance=0.05
    )  # fmt: skip
    grid = InMemoryGrid(opposite, 7)
    strategy.start(grid, ArrayRecord({"w": Array(np.zeros(4))}), num_rounds=14, timeout=20)
    genesis, *rest = strategy.chain
    state, paid = begin(genesis), Counter[int]()
    for block in rest:
        if isinstance(block, blocks.Settlement):
            tests = {each.participant: each.examined for each in block.standings}
            for fee in (payment for payment in block.payments if payment.rule == "examining"):
                weight = state.who.bond[fee.participant]
                assert fee.units == int(to_units(0.001) * tests[fee.participant] * weight)
                paid[fee.participant] += fee.units
        apply(state, block)
    [liar] = [i for i, name in enumerate(state.who.names) if name == "partition-id-2"]
    others = [index for index in range(7) if index != liar]
    assert state.who.bond[liar] < 0.8
    assert state.who.bond[others].tolist() == [1.0] * 6
    a_test = {index: paid[index] / state.who.examined[index] for index in range(7)}
    assert a_test[liar] < 0.8 * to_units(0.001)
    assert all(a_test[other] == to_units(0.001) for other in others)

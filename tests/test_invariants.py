"""What always holds (design, section 8), over federations that hypothesis makes up.

The phases are decided and applied as in a real run; only training and examining are
replaced by arbitrary claims and arbitrary utilities.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flower_relay.ledger.chain import MemoryChain
from flower_relay.mechanism import blocks
from flower_relay.mechanism.apply import apply
from flower_relay.mechanism.deposit import decide_deposits
from flower_relay.mechanism.randomness import generator
from flower_relay.mechanism.settlement import decide_settlement
from flower_relay.mechanism.state import State, begin
from flower_relay.mechanism.testing import audit_terms, decide_tests
from flower_relay.rules.coins import to_units
from flower_relay.rules.outcomes import Fault
from flower_relay.rules.rewards import MINT
from flower_relay.settings import RelaySettings

FAULTS = (
    None, None, None, Fault.TIMEOUT, Fault.ERROR, Fault.LEFT, Fault.NON_FINITE, Fault.COPIED,
)  # fmt: skip


class World:
    """A federation whose trainers and examiners do whatever the generator says."""

    def __init__(self, config: RelaySettings, num_founders: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        names = tuple(f"p{number}" for number in range(num_founders))
        self.genesis = blocks.Genesis(
            settings=asdict(config), model="genesis", bound=4.6, participants=names,
            utilities=tuple(0.5 for _ in names),
        )  # fmt: skip
        self.chain = MemoryChain()
        self.state = begin(self.genesis)
        self.head = self.chain.append(self.genesis)
        self.num_models = self.vested = 0

    def record(self, block: blocks.Block) -> None:
        self.head = self.chain.append(block)
        apply(self.state, block)
        if isinstance(block, blocks.Settlement):
            self.vested += sum(p.units for p in block.payments if p.rule == "vesting")

    def round(self) -> None:
        if self.rng.random() < 0.1:
            newcomer = f"p{self.state.num_participants}"
            self.record(blocks.Admission(round=self.state.round + 1, participants=(newcomer,)))
        present = self.rng.random(self.state.num_participants) < 0.9
        present[0] = True
        draw = generator(0, self.state.round + 1, "deposits")
        self.record(decide_deposits(self.state, present, draw, most_hops=50))
        deposit = self.state.deposit
        assert deposit is not None
        lanes = tuple(self.leg(t.base, t.trainers) for t in deposit.lanes)
        self.record(blocks.Commitment(round=deposit.round, lanes=lanes))
        if self.state.settings.examiners:
            self.examine()
        settlement = decide_settlement(self.state)
        assert settlement == decide_settlement(self.state)  # deciding changes nothing
        self.record(settlement)
        if self.state.settings.topology == "fan-out":
            batons = ((settlement.recognised or (self.state.lanes[0].baton,))[0],)
        else:
            batons = tuple(settlement.lanes[i].baton for i in settlement.restart_from)
        self.record(
            blocks.Publication(
                round=deposit.round, batons=batons, merged_from=(), trails=batons,
                champion=batons[0],
            )
        )  # fmt: skip

    def leg(self, base: str, trainers: tuple[int, ...]) -> tuple[blocks.HopClaim, ...]:
        claims: list[blocks.HopClaim] = []
        for trainer in trainers:
            fault = FAULTS[self.rng.integers(len(FAULTS))]
            self.num_models += 1
            model = f"m{self.num_models}" if fault is None else None
            claims.append(blocks.HopClaim(trainer=trainer, base=base, model=model, fault=fault))
            base = model or base
        return tuple(claims)

    def examine(self) -> None:
        deposit, commitment = self.state.deposit, self.state.commitment
        assert deposit is not None
        assert commitment is not None
        plan = decide_tests(self.state, self.head, deposit, commitment)
        self.check_committee(plan.committee)
        terms = audit_terms(self.state, commitment, plan.audited)
        references = tuple(f"reference of {each.model}" for each in terms)
        probes = tuple(f"probe of {each.model}" for each in terms)
        models = (*plan.models, *references, *probes)
        testing = blocks.Testing(
            round=deposit.round, committee=plan.committee, audited=plan.audited, planted=(),
            models=models, utilities=self.votes(models, plan.committee), probes=probes,
            references=references,
        )  # fmt: skip
        self.record(testing)

    def check_committee(self, committee: tuple[int, ...]) -> None:
        deposit = self.state.deposit
        assert deposit is not None
        training = {index for terms in deposit.lanes for index in terms.trainers}
        assert set(committee) <= set(deposit.present)
        if set(deposit.present) - training:  # somebody was free to examine
            assert not training & set(committee)

    def votes(
        self, models: tuple[str, ...], committee: tuple[int, ...]
    ) -> tuple[tuple[float | None, ...], ...]:
        return tuple(
            tuple(None if self.rng.random() < 0.2 else float(self.rng.random()) for _ in committee)
            for _ in models
        )


configs = st.builds(
    RelaySettings,
    topology=st.sampled_from(["chain", "fan-out"]),
    rewards=st.sampled_from(["contribution", "royalty"]),
    lanes=st.integers(1, 3),
    max_leg=st.integers(1, 5),
    examiners=st.integers(1, 9),
    tolerance=st.sampled_from([0.001, 0.065, 0.5]),
)
worlds = st.builds(World, configs, st.integers(1, 12), st.integers(0, 2**32 - 1))


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(1, 12))
def test_coins_are_conserved_at_every_round(world: World, num_rounds: int) -> None:
    for _ in range(num_rounds):
        world.round()
        who, state = world.state.who, world.state
        created = sum(state.minted.values()) - sum(state.burned.values())
        assert int(who.coins.sum() + who.locked.sum()) == created
        # Every deposit is refunded or forfeited: what is locked is pay that has not vested.
        assert (who.locked >= 0).all()
        assert int(who.locked.sum()) == state.minted["contribution"] - world.vested
        assert (who.coins >= 0).all()


@settings(max_examples=30, deadline=None)
@given(worlds, st.integers(1, 12))
def test_a_chain_mints_no_more_than_its_rise(world: World, num_rounds: int) -> None:
    chosen = world.state.settings
    for _ in range(num_rounds):
        world.round()
        if chosen.topology == "chain":
            most = to_units(world.state.mark * MINT)
            assert world.state.minted["contribution"] <= most


@settings(max_examples=30, deadline=None)
@given(worlds, st.integers(1, 8))
def test_the_blocks_alone_lead_to_the_same_state(world: World, num_rounds: int) -> None:
    for _ in range(num_rounds):
        world.round()
    blocks = list(world.chain)
    again = begin(world.genesis)
    for block in blocks[1:]:
        apply(again, block)
    assert_same(again, world.state)


def assert_same(one: State, other: State) -> None:
    for name in ("coins", "locked", "bond", "debt", "waits_until", "accepted", "newcomer"):
        np.testing.assert_array_equal(getattr(one.who, name), getattr(other.who, name))
    assert one.lanes == other.lanes
    assert one.lineage.models == other.lineage.models
    assert (one.mark, one.points) == (other.mark, other.points)


@settings(max_examples=30, deadline=None)
@given(worlds)
def test_a_bond_never_leaves_its_bounds_and_a_debt_is_never_negative(world: World) -> None:
    for _ in range(8):
        world.round()
    who = world.state.who
    assert ((who.bond >= 0) & (who.bond <= 1)).all()
    assert (who.debt >= 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_the_draw_follows_the_commitment_and_nothing_else(seed: int, other: int) -> None:
    world = World(RelaySettings(examiners=4), 12, seed)
    draw = generator(0, 1, "deposits")
    world.record(decide_deposits(world.state, np.ones(12, bool), draw, most_hops=9))
    deposit = world.state.deposit
    assert deposit is not None
    terms = deposit.lanes[0]
    world.record(blocks.Commitment(round=1, lanes=(world.leg(terms.base, terms.trainers),)))
    commitment = world.state.commitment
    assert commitment is not None
    plans = [decide_tests(world.state, head, deposit, commitment) for head in (world.head,) * 2]
    assert plans[0] == plans[1]
    world.rng = np.random.default_rng(other)  # whatever happens elsewhere
    assert decide_tests(world.state, world.head, deposit, commitment) == plans[0]


def test_committees_differ_from_commitment_to_commitment() -> None:
    world = World(RelaySettings(examiners=4), 30, 1)
    draw = generator(0, 1, "deposits")
    deposit = decide_deposits(world.state, np.ones(30, bool), draw, most_hops=9)
    trainer = deposit.lanes[0].trainers[0]
    claim = blocks.HopClaim(trainer=trainer, base="genesis", model="m", fault=None)
    commitment = blocks.Commitment(round=1, lanes=((claim,),))
    heads = ("a", "b", "c")
    committees = {decide_tests(world.state, h, deposit, commitment).committee for h in heads}
    assert len(committees) == 3


def test_a_hop_that_the_infrastructure_lost_costs_nothing_and_an_error_costs_the_deposit() -> None:
    world = World(RelaySettings(deposit_unit=1.0, first_debt=0.0), 4, 0)
    world.state.who.coins[:] = 5 * 10**9
    world.state.minted["examining"] = 20 * 10**9
    for fault, left in (("left", 5 * 10**9), ("error", 4 * 10**9), ("timeout", 4 * 10**9)):
        draw = generator(0, world.state.round + 1, "deposits")
        world.record(decide_deposits(world.state, np.ones(4, bool), draw, most_hops=1))
        deposit = world.state.deposit
        assert deposit is not None
        (terms,) = deposit.lanes
        trainer = terms.trainers[0]
        claim = blocks.HopClaim(trainer=trainer, base=terms.base, model=None, fault=fault)
        world.record(blocks.Commitment(round=deposit.round, lanes=((claim,),)))
        world.record(decide_settlement(world.state))
        assert world.state.who.coins[trainer] == left
        assert (world.state.who.debt[trainer] > 0) == (fault != "left")


def first_cycle_of(fault: str | None, num_fresh: int) -> list[int]:
    """Who trains in the first cycle of four founders and newcomers whose hops end like that."""
    world = World(RelaySettings(max_leg=1), 4, 0)
    names = tuple(f"fresh{number}" for number in range(num_fresh))
    world.record(blocks.Admission(round=1, participants=names))
    turns: list[int] = []
    while world.state.cycle == 0:
        draw = generator(0, world.state.round + 1, "deposits")
        present = np.ones(4 + num_fresh, bool)
        world.record(decide_deposits(world.state, present, draw, most_hops=9))
        deposit = world.state.deposit
        assert deposit is not None
        terms, fresh = deposit.lanes[0], deposit.lanes[0].trainers[0] >= 4
        turns += terms.trainers if world.state.cycle == 0 else ()
        end = fault if fresh else None
        claim = blocks.HopClaim(
            trainer=terms.trainers[0], base=terms.base, fault=end,
            model=None if end else f"m{deposit.round}",
        )  # fmt: skip
        world.record(blocks.Commitment(round=deposit.round, lanes=((claim,),)))
        world.examine()
        world.record(decide_settlement(world.state))
    return turns


def test_newcomers_share_one_slot_a_cycle_however_many_they_are() -> None:
    turns = first_cycle_of(None, 10)
    assert sorted(turns)[:4] == [0, 1, 2, 3]
    assert [index for index in turns if index >= 4] == [4]


def test_who_hands_in_nothing_leaves_the_slot_to_the_next_and_three_try_in_a_cycle() -> None:
    turns = first_cycle_of("unchanged", 10)
    assert sorted(turns)[:4] == [0, 1, 2, 3]
    assert len({index for index in turns if index >= 4}) == len(turns) - 4 == 3


@settings(max_examples=40, deadline=None)
@given(worlds, st.integers(2, 12))
def test_beside_the_founders_only_accepted_hops_give_a_vote_weight(
    world: World, num_rounds: int
) -> None:
    founders = world.state.num_participants
    names = tuple(f"fresh{number}" for number in range(9))
    world.record(blocks.Admission(round=1, participants=names))
    for _ in range(num_rounds):
        world.round()
        who = world.state.who
        weights = world.state.weights_of(range(world.state.num_participants))
        joined = np.arange(len(who.names)) >= founders
        assert not weights[joined & (who.accepted == 0)].any()
        earning = joined & (world.state.earned < 1)
        assert weights[earning].sum() <= weights.sum() / 3 + 1e-12


def test_the_unit_of_deposits_is_the_median_income_of_those_who_trained() -> None:
    world = World(RelaySettings(deposit_unit=1.0, first_debt=0.0), 3, 0)
    names = tuple(f"watcher{number}" for number in range(9))
    roles = ("examine",) * 9
    world.record(blocks.Admission(round=1, participants=names, roles=roles))
    who = world.state.who
    who.had_turn[:3] = True
    who.income[:3], who.income[3:] = [2, 7, 9], 1
    draw = generator(0, 1, "deposits")
    assert decide_deposits(world.state, np.ones(12, bool), draw, most_hops=1).unit == 7
    who.income[:] = 0  # nothing was earned: as it was
    assert decide_deposits(world.state, np.ones(12, bool), draw, most_hops=1).unit == 10**9

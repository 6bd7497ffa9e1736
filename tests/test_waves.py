"""Waves: a round trains while the one before it is judged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message

from flower_relay import FolderStore, InMemoryGrid, MemoryStore, RelayStrategy
from flower_relay.comparison.devices import Device
from flower_relay.comparison.fleet import FleetGrid
from flower_relay.ledger.verify import verify_run
from flower_relay.mechanism.averages import StoredAverages
from flower_relay.mechanism.blocks import Block, Deposit, Publication, Settlement
from flower_relay.mechanism.publication import Meeting
from flower_relay.node.mod import make_relay_mod
from flower_relay.rules.lanes import is_calm
from flower_relay.settings import RelaySettings
from tests.interrupted import turning
from tests.linear import genesis_model
from tests.signers import descending, fixed_keys, play, same_run, sealed, verify
from tests.test_golden import unlike_app

NODES = 10
"""Half of them train in a round, in five lanes; twenty hops are judged after four rounds."""
AT_ONCE = Device(speed=1e12, down=1e18, up=1e18, latency=1.0)
"""A device that takes a second to be reached, a second to answer, and no time to work."""


def kinds(blocks: Sequence[Block]) -> str:
    """The first letter of each block, and its round."""
    return " ".join(f"{type(each).__name__[0]}{getattr(each, 'round', '')}" for each in blocks)


def turned(rounds: int = 8, **options: Any) -> RelayStrategy:
    """Nobody is hostile before the sixth round, and one in five from there on."""
    fixed: dict[str, Any] = {"seed": 1, "examiners": 6, "observers": (), "lanes": "wave"}
    app = options.pop("app", turning(6))
    grid = options.pop("grid", InMemoryGrid(app, NODES, node_ids=range(101, 101 + NODES)))
    strategy = RelayStrategy(**fixed | same_run() | options)
    strategy.start(grid, genesis_model(), num_rounds=rounds, timeout=20)
    return strategy


@cache
def ledger() -> tuple[Block, ...]:
    return tuple(turned().chain)


# The rule.


def test_a_run_is_calm_until_more_than_two_of_its_first_hops_are_rejected() -> None:
    assert is_calm(())
    assert is_calm([False] * 2)
    assert not is_calm([False] * 3)


def test_a_run_is_calm_while_a_tenth_of_its_latest_hops_or_less_is_rejected() -> None:
    assert is_calm([True] * 36 + [False] * 4)
    assert not is_calm([True] * 35 + [False] * 5)
    assert is_calm([False] * 40 + [True] * 36 + [False] * 4)


# The order of things.


def test_a_round_trains_while_the_one_before_it_is_judged() -> None:
    assert kinds(ledger()) == (
        "G D1 C1 D2 T1 S1 P1 C2 D3 T2 S2 P2 C3 D4 T3 S3 P3 C4 D5 T4 S4 P4 "
        "C5 D6 T5 S5 P5 C6 D7 T6 S6 P6 C7 D8 T7 S7 P7 C8 T8 S8 P8"
    )


@cache
def disturbed() -> tuple[Block, ...]:
    """One in five is hostile from the first round on."""
    return tuple(turned(app=turning(1), rounds=10).chain)


def test_a_round_is_judged_at_once_where_more_than_a_tenth_was_rejected() -> None:
    outcomes = [
        str(hop.outcome)
        for block in disturbed()
        if isinstance(block, Settlement) and block.round <= 8
        for lane in block.lanes
        for hop in lane.hops
    ]
    assert (outcomes.count("rejected"), len(outcomes)) == (3, 29)
    assert "C8 D9 T8 S8 P8 C9 T9 S9 P9 D10 C10" in kinds(disturbed())


def test_a_wave_verifies() -> None:
    verdict = verify(ledger())
    assert verdict.ok, verdict.first_problem


def test_a_wave_may_be_cut_off_after_any_block() -> None:
    for length in range(1, len(ledger())):
        assert verify(ledger()[:length]).ok


def test_nobody_trains_again_before_its_last_hop_is_judged() -> None:
    rounds = [block for block in ledger() if isinstance(block, Deposit)]
    for before, after in ((rounds[4], rounds[5]), (rounds[5], rounds[6])):  # a cycle has two
        assert not {who for lane in before.lanes for who in lane.trainers} & {
            who for lane in after.lanes for who in lane.trainers
        }


def test_who_trained_judges_the_hops_of_others_while_others_train() -> None:
    strategy = turned()
    trainers = {
        block.round: {who for lane in block.lanes for who in lane.trainers}
        for block in strategy.chain
        if isinstance(block, Deposit)
    }
    for block in strategy.chain:
        if kinds([block]) in ("T5", "T6"):  # five of ten train in each round
            committee = set(block.committee)  # type: ignore[union-attr]
            assert committee <= trainers[block.round] - trainers[block.round + 1]  # type: ignore[union-attr]
    assert all(hop.vote is not None for hop in strategy.record.hops if hop.round == 5)


def test_what_was_rejected_is_taken_out_and_the_next_round_counts_with_its_steps() -> None:
    strategy = turned()
    blocks = list(strategy.chain)
    deposit = next(each for each in blocks if isinstance(each, Deposit) and each.round == 8)
    published = next(each for each in blocks if isinstance(each, Publication) and each.round == 7)
    rejected = [hop for hop in strategy.record.hops if hop.round == 7 and hop.outcome == "rejected"]
    assert rejected and not {hop.model for hop in rejected} & set(published.merged_from)
    base = deposit.lanes[0].base
    assert base != published.batons[0]  # they trained on a model with the rejected hops in it
    lineage = strategy.running.state.lineage
    assert lineage[base].parents == lineage[published.batons[0]].parents == published.merged_from
    later = next(each for each in blocks if isinstance(each, Publication) and each.round == 8)
    meanwhile = [hop for hop in strategy.record.hops if hop.round == 8]
    assert {hop.base for hop in meanwhile} == {base}
    counted = {hop.model for hop in meanwhile if hop.outcome == "accepted"}
    assert counted and set(later.merged_from) == counted


def test_where_nothing_is_rejected_the_next_round_trains_on_what_is_published() -> None:
    deposit = next(each for each in ledger() if isinstance(each, Deposit) and each.round == 6)
    published = next(each for each in ledger() if isinstance(each, Publication) and each.round == 5)
    assert {lane.base for lane in deposit.lanes} == set(published.batons)


def test_a_hop_that_was_trained_on_another_model_counts_with_its_step() -> None:
    store = MemoryStore()
    averages = StoredAverages(store, RelaySettings(lanes=2, lanes_meet="momentum"))
    start, base, hop = ({"w": np.array(w)} for w in ([1.0, 1.0], [4.0, 4.0], [4.5, 3.0]))
    names = [store.put(each) for each in (start, base, hop)]
    met, _ = averages.meet(
        Meeting(start=names[0], hops=(names[2],), trained_on=names[1], moments=(), number=1)
    )
    assert store.get(met)["w"].tolist() == [1.5, 0.0]


# Trouble.


@pytest.mark.parametrize(
    ("kind", "in_five", "outcomes"),
    [
        ("train", 1, {"error"}),
        ("evaluate", 1, set()),  # of those who may judge a hop three in four are left
        ("evaluate", 3, {"untested"}),
    ],
)
def test_who_fails_in_a_wave_is_noted_and_the_run_goes_on(
    kind: str, in_five: int, outcomes: set[str]
) -> None:
    honest = turning(99)

    def app(message: Message, context: Context) -> Message:
        now = int(str(message.content.config_records["config"].get("server-round", 0)))
        if now >= 5 and message.metadata.message_type == kind and context.node_id % 5 < in_five:
            raise RuntimeError("no power")
        return honest(message, context)

    strategy = turned(app=app, rounds=8)
    assert "C5 D6 T5" in kinds(list(strategy.chain))
    assert verify(strategy.chain).ok
    hops = strategy.record.hops
    failed = {hop.outcome for hop in hops} - {"accepted"}
    assert failed == outcomes
    reasons = {notice.reason for notice in strategy.record.notices.all.values()}
    assert reasons == {"RuntimeError: no power"}
    assert in_five > 1 or any(hop.outcome == "accepted" for hop in hops if hop.round == 8)
    assert len(strategy.record.rounds) == 8


def test_who_leaves_while_it_trains_ahead_is_noted_and_the_run_goes_on() -> None:
    class Leaving(InMemoryGrid):
        def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
            outgoing = list(messages)
            for message in outgoing:
                config = message.content.config_records["config"]
                late = int(str(config.get("server-round", 0))) >= 6
                if late and message.metadata.message_type == "train" and not config["hop-seed"] % 3:  # type: ignore[operator]
                    self.leave(message.metadata.dst_node_id)
            return super().push_messages(outgoing)

    grid = Leaving(turning(99), NODES, node_ids=range(101, 101 + NODES))
    strategy = turned(grid=grid, rounds=9)
    assert "C5 D6 T5" in kinds(list(strategy.chain))
    assert verify(strategy.chain).ok
    assert "left" in {hop.outcome for hop in strategy.record.hops}
    assert strategy.running.progress.round_published == 9


def test_the_budget_ends_a_wave() -> None:
    strategy = turned(rounds=12, budget=44)
    assert len(strategy.record.hops) == 44  # eight fives and four
    assert kinds(list(strategy.chain)).endswith("D9 T8 S8 P8 C9 T9 S9 P9")
    assert verify(strategy.chain).ok


def test_a_node_has_one_message_at_a_time() -> None:
    """Who opens a nonce and trains, or trains and examines, is sent the second after the first."""
    waiting: Counter[int] = Counter()

    class Watched(InMemoryGrid):
        def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
            outgoing = list(messages)
            waiting.update(message.metadata.dst_node_id for message in outgoing)
            assert max(waiting.values()) == 1
            return super().push_messages(outgoing)

        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            replies = list(super().pull_messages(message_ids))
            waiting.subtract(reply.metadata.src_node_id for reply in replies)
            return replies

    app = descending((make_relay_mod(),))
    strategy = turned(grid=Watched(app, 8), lanes="wave", rounds=9)
    # Which round is the first to go ahead depends on the keys, which are new each time.
    assert re.search(r"C(\d+) D\d+ T\1 ", kinds(list(strategy.chain)))


# The clock.


def seconds_a_round(lanes: str) -> list[float]:
    inner = InMemoryGrid(unlike_app(hostile=()), NODES, node_ids=range(101, 101 + NODES))
    grid, moments = FleetGrid(inner, {"homogeneous": [AT_ONCE] * NODES}), list[float]()
    strategy = RelayStrategy(seed=3, observers=(), lanes=lanes, tolerance=0.9)

    def note(round: int, champion: ArrayRecord) -> None:
        moments.append(grid.seconds["homogeneous"])

    first = ArrayRecord({"w": Array(np.zeros(4))})
    strategy.start(grid, first, num_rounds=8, timeout=20, evaluate_fn=note)
    return np.diff(moments).round(6).tolist()


def test_a_round_that_goes_ahead_takes_one_way_there_and_back() -> None:
    assert seconds_a_round("auto") == [4.0] * 8
    # The first round trains alone, and is judged while the second trains.
    assert seconds_a_round("wave") == [2.0 + 2.0] + [2.0] * 7


# Who signs.


def test_who_signs_signs_in_a_wave_and_brings_nonces(tmp_path: Path) -> None:
    keys = fixed_keys(tmp_path, 7)
    strategy = play(descending(), keys, rounds=11, lanes="wave")
    assert "C9 D10 T9" in kinds(list(strategy.chain))
    verdict = verify(strategy.chain)
    assert verdict.ok, verdict.first_problem
    assert verdict.draws_with_nonces == 11 and verdict.nonces_withheld == 0
    assert verdict.hops_attested == verdict.votes_attested == 0
    assert not strategy.record.notices.all


# What does not follow.


@pytest.fixture(scope="module")
def hoard(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Block], Path]:
    """The blocks of a run that keeps all of its models."""

    class Hoard(FolderStore):
        def keep_only(self, names: Any) -> None:
            pass

    folder = tmp_path_factory.mktemp("models")
    strategy = turned(store=lambda: Hoard(folder), first_debt=0.0)
    return list(strategy.chain), folder


def forged(blocks: Sequence[Block], index: int, block: Block) -> list[Block]:
    return [*blocks[:index], block, *blocks[index + 1 :]]


INVENTED = sha256(b"invented").hexdigest()


def test_the_expected_model_is_made_again(hoard: tuple[list[Block], Path]) -> None:
    blocks, folder = hoard
    verdict = verify_run(sealed(blocks), models=folder)
    # What was handed in by who is in debt is in the hoard as well, and no block names it.
    assert {problem.found for problem in verdict.problems} <= {"none does"}
    assert verdict.averages_checked > 0 == verdict.averages_stated
    index = kinds(blocks).split().index("D6")
    deposit = blocks[index]
    assert isinstance(deposit, Deposit)
    lanes = tuple(replace(lane, base=INVENTED) for lane in deposit.lanes)
    false = forged(blocks, index, replace(deposit, lanes=lanes))
    problem = verify_run(sealed(false), models=folder).first_problem
    assert problem is not None
    assert (problem.block, problem.field) == (index, "deposit.lanes[0].base")


def test_without_models_another_expected_model_is_found_where_nothing_was_rejected() -> None:
    blocks = list(ledger())
    index, later = (kinds(blocks).split().index(kind) for kind in ("D6", "P5"))
    deposit = blocks[index]
    assert isinstance(deposit, Deposit)
    lanes = tuple(replace(lane, base=INVENTED) for lane in deposit.lanes)
    problem = verify(forged(blocks, index, replace(deposit, lanes=lanes))).first_problem
    assert problem is not None
    assert (problem.block, problem.field) == (later, "publication.batons[0]")


def test_a_round_does_not_go_ahead_where_more_than_a_tenth_was_rejected() -> None:
    blocks = list(disturbed())
    names = kinds(blocks).split()
    early = [*blocks[: names.index("C9") + 1], blocks[names.index("D10")]]
    problem = verify(early).first_problem
    assert problem is not None
    assert (problem.field, problem.expected) == ("kind", "testing")


def test_who_was_not_judged_has_no_turn() -> None:
    blocks = list(ledger())
    names = kinds(blocks).split()
    index = names.index("D7")
    before, deposit = blocks[names.index("D6")], blocks[index]
    assert isinstance(before, Deposit) and isinstance(deposit, Deposit)
    again = replace(deposit.lanes[0], trainers=before.lanes[0].trainers)
    problem = verify(
        forged(blocks, index, replace(deposit, lanes=(again, *deposit.lanes[1:])))
    ).first_problem
    assert problem is not None and problem.block == index
    assert problem.field.startswith("deposit.lanes[0].trainers")

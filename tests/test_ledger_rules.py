"""The operator signs all of it anew with its own key: what the rules did not decide is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest

from flower_relay import LedgerError, RelaySettings
from flower_relay.ledger import OperatorKey
from flower_relay.ledger.replay import Replay
from flower_relay.ledger.verify import verify_run
from flower_relay.mechanism import blocks
from flower_relay.mechanism.apply import apply
from flower_relay.mechanism.blocks import (
    Admission,
    Block,
    Commitment,
    Deposit,
    Genesis,
    Payment,
    Publication,
    Settlement,
)
from flower_relay.mechanism.state import begin
from flower_relay.rules.coins import PaymentRule
from flower_relay.rules.outcomes import Fault
from tests.forgeries import pay_more
from tests.imagined import KEY, ImaginedRun, sealed

Change = Callable[[Any], Any]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[OperatorKey, OperatorKey]:
    folder = tmp_path_factory.mktemp("keys")
    return KEY, OperatorKey.create(folder / "other")


@pytest.fixture(scope="module")
def own(keys: tuple[OperatorKey, OperatorKey]) -> OperatorKey:
    return keys[0]


@pytest.fixture(scope="module")
def run() -> list[Block]:
    """Forty rounds in which legs fail, debts are run up, models are planted and somebody joins."""
    settings = RelaySettings(
        max_leg=4, examiners=6, planted=0.3, deposit_unit=0.0, first_debt=0.0, tolerance=0.05
    )
    runs = (list(ImaginedRun(settings, participants=12, rounds=40, seed=n)) for n in range(99))
    return next(run for run in runs if any(isinstance(b, Admission) for b in run) and sent(run))


def sent(run: Sequence[Block]) -> bool:
    """Whether a hop was shortened."""
    claims = [claim for b in run if isinstance(b, Commitment) for lane in b.lanes for claim in lane]
    return any(claim.sent for claim in claims)


def place(blocks: Sequence[Block], kind: type, wanted: Change = lambda block: True) -> int:
    return next(i for i, b in enumerate(blocks) if isinstance(b, kind) and wanted(b))


def where_a_leg_failed(run: Sequence[Block]) -> int:
    """Index of the first testing block after which a leg of several candidates fails."""
    for index, (tested, settled) in enumerate(pairwise(run)):
        if isinstance(tested, blocks.Testing) and isinstance(settled, Settlement):
            [lane] = settled.lanes
            if lane.passed is False and sum(hop.vote is not None for hop in lane.hops) > 1:
                return index
    raise AssertionError("no leg failed")


def changed(blocks: Sequence[Block], index: int, change: Change) -> list[Block]:
    return [*blocks[:index], change(blocks[index]), *blocks[index + 1 :]]


def test_the_run_of_these_tests_holds_every_kind_of_block_and_one_test_a_round(
    run: list[Block],
) -> None:
    kinds = {type(block) for block in run}
    assert kinds == {
        Genesis,
        Admission,
        Deposit,
        Commitment,
        blocks.Testing,
        Settlement,
        Publication,
    }
    tests = [block.round for block in run if isinstance(block, blocks.Testing)]
    assert tests == [block.round for block in run if isinstance(block, Settlement)]
    assert len(set(tests)) == len(tests)
    assert sent(run)
    assert any(isinstance(block, blocks.Testing) and block.planted for block in run)


def raise_payment(block: Settlement) -> Settlement:
    *rest, last = block.payments
    return replace(block, payments=(*rest, replace(last, units=last.units + 7)))


def swap_trainers(block: Deposit) -> Deposit:
    [lane] = block.lanes
    turned = replace(lane, trainers=lane.trainers[::-1], deposits=lane.deposits[::-1])
    return replace(block, lanes=(turned,))


def in_first_lane(**change: Any) -> Change:
    def apply_to(block: Any) -> Any:
        [lane] = block.lanes
        if isinstance(block, Commitment):
            return replace(block, lanes=((replace(lane[0], **change), *lane[1:]),))
        return replace(block, lanes=(replace(lane, **change),))

    return apply_to


def with_utility(value: float) -> Change:
    """The last model's first utility replaced: an observation, but a bounded one."""

    def apply_to(block: blocks.Testing) -> blocks.Testing:
        *rest, row = block.utilities
        return replace(block, utilities=(*rest, (value, *row[1:])))

    return apply_to


def two_hops(block: Any) -> bool:
    return len(block.lanes[0].trainers) > 1


def planting(names: Callable[[Any], tuple[str, ...]]) -> Change:
    return lambda block: replace(block, planted=names(block))


PLANTED: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "planted model denied": lambda block: (),
    "three planted models": lambda block: (*block.planted, "9" * 64),
    "one planted twice": lambda block: block.planted[:1] * 2,
    "a probe called planted": lambda block: block.probes[:1],
    "a candidate called planted": lambda block: block.models[:1],
}
"""What a testing block may say of its planted models, and must not."""


FORGERIES: dict[str, tuple[type, Change, Change, str]] = {
    "payment raised": (Settlement, lambda b: b.payments, raise_payment, "payments["),
    "payment left out": (
        Settlement, lambda b: b.payments,
        lambda b: replace(b, payments=b.payments[:-1]), "payments",
    ),
    "bond raised": (
        Settlement, lambda b: b.standings,
        lambda b: replace(b, standings=(replace(b.standings[0], bond=2.0), *b.standings[1:])),
        "standings[0].bond",
    ),
    "root of other standings": (
        Settlement, lambda b: True, lambda b: replace(b, standings_root="0" * 64),
        "standings_root",
    ),
    "other reference": (
        blocks.Testing, lambda b: b.references,
        lambda b: replace(b, references=("m",) * len(b.references)),
        "references[0]",
    ),
    "verdict turned": (
        Settlement, lambda b: b.lanes[0].passed is not None, in_first_lane(passed=None),
        "lanes[0].passed",
    ),
    "other recognised model": (
        Settlement, lambda b: True, lambda b: replace(b, recognised=("m",)), "recognised[0]",
    ),
    "order of trainers": (Deposit, two_hops, swap_trainers, "lanes[0].trainers[0]"),
    "deposit lowered": (
        Deposit, lambda b: b.lanes[0].deposits[0] > 0, in_first_lane(deposits=(0,)),
        "lanes[0].deposits[0]",
    ),
    "other base": (Deposit, lambda b: True, in_first_lane(base="m"), "lanes[0].base"),
    "nobody present": (Deposit, lambda b: True, lambda b: replace(b, present=()), "present"),
    "a stranger present": (
        Deposit, lambda b: True, lambda b: replace(b, present=(0, 999)), "present",
    ),
    "next cycle early": (
        Deposit, lambda b: True, lambda b: replace(b, cycle=b.cycle + 1), "cycle",
    ),
    "trainer of a hop": (
        Commitment, lambda b: True, in_first_lane(trainer=99), "lanes[0].trainer[0]",
    ),
    "a model that is there already": (
        Commitment,
        lambda b: len(b.lanes[0]) == 1 and b.lanes[0][0].fault is None,
        in_first_lane(model=sha256(b"model 0").hexdigest()),
        "lanes[0][0].model",
    ),
    "what was handed in left out": (
        Commitment, lambda b: b.lanes[0][0].sent, in_first_lane(sent=None), "lanes[0][0].sent",
    ),
    "something handed in by who is not in debt": (
        Commitment, lambda b: b.lanes[0][0].model and not b.lanes[0][0].sent,
        in_first_lane(sent="fresh"), "lanes[0][0].sent",
    ),
    "something handed in that is there already": (
        Commitment, lambda b: b.lanes[0][0].sent,
        in_first_lane(sent=sha256(b"model 0").hexdigest()), "lanes[0][0].sent",
    ),
    "a fault with a model": (
        Commitment, lambda b: b.lanes[0][0].model,
        in_first_lane(fault=Fault.TIMEOUT), "lanes[0][0].model",
    ),
    "no copy of anything": (
        Commitment, lambda b: True, in_first_lane(fault=Fault.COPIED, way=None, model="fresh"),
        "lanes[0][0].model",
    ),
    "a hop on another base": (
        Commitment, lambda b: True, in_first_lane(base="m"), "lanes[0][0].base",
    ),
    "a hop left out": (
        Commitment, lambda b: len(b.lanes[0]) > 1,
        lambda b: replace(b, lanes=(b.lanes[0][:-1],)), "lanes[0].trainer",
    ),
    "committee": (
        blocks.Testing, lambda b: True, lambda b: replace(b, committee=b.committee[::-1]),
        "committee[0]",
    ),
    "audit left out": (
        blocks.Testing, lambda b: b.audited, lambda b: replace(b, audited=()), "audited",
    ),
    **{
        name: (blocks.Testing, lambda b: b.planted and b.probes, planting(names), "planted")
        for name, names in PLANTED.items()
    },
    "a utility above one": (
        blocks.Testing, lambda b: b.models, with_utility(1.5), "utilities[",
    ),
    "a model tested for nothing": (
        blocks.Testing, lambda b: b.models,
        lambda b: replace(b, models=(*b.models, "m"), utilities=(*b.utilities, b.utilities[0])),
        "models",
    ),
    "other champion": (
        Publication, lambda b: True, lambda b: replace(b, champion="m"), "champion",
    ),
    "other baton": (
        Publication, lambda b: True, lambda b: replace(b, batons=("m",)), "batons[0]",
    ),
    "merged from nothing": (
        Publication, lambda b: True, lambda b: replace(b, merged_from=("m",)), "merged_from",
    ),
    "a name twice": (
        Admission, lambda b: True, lambda b: replace(b, participants=("partition-id-0",)),
        "participants[0]",
    ),
    "a round too early": (
        Admission, lambda b: True, lambda b: replace(b, round=b.round + 1), "round",
    ),
    "half the settings": (
        Genesis, lambda b: True, lambda b: replace(b, settings={"lanes": 1}), "settings",
    ),
    "impossible settings": (
        Genesis, lambda b: True, lambda b: replace(b, settings={**b.settings, "lanes": 0}),
        "settings",
    ),
    "founders twice": (
        Genesis, lambda b: True, lambda b: replace(b, participants=("a",) * 12),
        "participants[1]",
    ),
    "no bound": (Genesis, lambda b: True, lambda b: replace(b, bound=0.0), "bound"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGERIES)
def test_what_the_rules_did_not_decide_is_found_although_all_is_signed_anew(
    what: str, run: list[Block], own: OperatorKey
) -> None:
    kind, wanted, change, field = FORGERIES[what]
    index = place(run, kind, wanted)
    verdict = verify_run(sealed(changed(run, index, change), own), trust=own.public)
    problem = verdict.first_problem
    assert problem is not None
    assert problem.block == index
    name = kind.__name__.lower()
    assert problem.kind == name
    assert problem.field.startswith(f"{name}.{field}"), problem
    assert problem.expected != problem.found
    assert verdict.blocks == index  # those before it hold


def test_the_difference_says_what_was_expected_and_what_is_there(
    run: list[Block], own: OperatorKey
) -> None:
    index = place(run, Settlement, lambda b: len(b.payments) > 3)
    block = run[index]
    assert isinstance(block, Settlement)
    units = block.payments[3].units
    payments = [*block.payments]
    payments[3] = replace(payments[3], units=units + 1)
    forged = changed(run, index, lambda b: replace(b, payments=tuple(payments)))
    problem = verify_run(sealed(forged, own)).first_problem
    assert str(problem) == (
        f"block {index}: settlement.payments[3].units: expected {units}, found {units + 1}"
    )


@pytest.mark.parametrize("kind", [Deposit, Commitment, blocks.Testing, Settlement, Publication])
def test_a_block_left_out_or_put_in_twice_is_found(
    kind: type, run: list[Block], own: OperatorKey
) -> None:
    index = place(run, kind)
    without = [*run[:index], *run[index + 1 :]]
    twice = [*run[: index + 1], *run[index:]]
    for forged, where in ((without, index), (twice, index + 1)):
        problem = verify_run(sealed(forged, own)).first_problem
        assert problem is not None
        assert (problem.block, problem.field) == (where, "kind")


def test_every_hop_of_a_failed_leg_has_a_row_in_the_one_test(
    run: list[Block], own: OperatorKey
) -> None:
    index = where_a_leg_failed(run)
    commitment, tested = run[index - 1], run[index]
    assert isinstance(commitment, Commitment) and isinstance(tested, blocks.Testing)
    tried = [claim.model for claim in commitment.lanes[0] if claim.fault is None]
    assert len(tried) > 1 and set(tried) <= set(tested.models)
    for model in tried:
        row = tested.models.index(model)
        models, utilities = list(tested.models), list(tested.utilities)
        del models[row], utilities[row]
        left_out = replace(tested, models=tuple(models), utilities=tuple(utilities))
        problem = verify_run(sealed([*run[:index], left_out], own)).first_problem
        assert problem is not None
        assert problem.block == index and problem.field.startswith("testing.models")


def test_what_an_examiner_has_said_it_cannot_unsay(run: list[Block], own: OperatorKey) -> None:
    state = begin(run[0])  # type: ignore[arg-type]
    for index, block in enumerate(run[1:], start=1):
        if isinstance(block, blocks.Testing):
            for row, name in enumerate(block.models):
                known = state.known_utilities(name)[list(block.committee)]
                if (said := [c for c, value in enumerate(known) if value == value]) and index > 9:
                    return unsay(run, own, index, row, said[0])
        apply(state, block)
    raise AssertionError("nobody was asked twice")


def unsay(run: list[Block], own: OperatorKey, index: int, row: int, column: int) -> None:
    block = run[index]
    assert isinstance(block, blocks.Testing)
    rows = [list(values) for values in block.utilities]
    rows[row][column] = 0.5
    utilities = tuple(tuple(values) for values in rows)
    forged = changed(run, index, lambda b: replace(b, utilities=utilities))
    problem = verify_run(sealed(forged, own)).first_problem
    assert problem is not None
    assert problem.block == index
    assert problem.field == f"testing.utilities[{row}][{column}]"
    assert "said before" in problem.expected


def test_a_raised_reward_is_found_whatever_the_key(
    run: list[Block], keys: tuple[OperatorKey, OperatorKey]
) -> None:
    for key in keys:
        problems = verify_run(sealed(pay_more(run), key)).problems
        assert "settlement.payments[0].units" in {problem.field for problem in problems}


def test_the_replay_itself_lets_no_deposit_vanish_and_no_balance_fall_below_zero(
    run: list[Block],
) -> None:
    genesis = run[0]
    assert isinstance(genesis, Genesis)
    staked = place(run, Deposit, lambda b: any(b.lanes[0].deposits))
    settled = run[place(run[staked:], Settlement) + staked]
    assert isinstance(settled, Settlement)
    debt = Payment(participant=0, units=-(10**12), rule=PaymentRule.ROYALTY)
    for payments, field in (((), "locked deposits"), ((*settled.payments, debt), "balances")):
        replay = Replay(genesis)
        for block in run[1 : run.index(settled)]:
            replay.follow(block, "")
        with pytest.raises(LedgerError, match=field):
            replay.follow(replace(settled, payments=payments), "")


def test_the_replay_itself_sees_coins_that_no_block_minted(run: list[Block]) -> None:
    genesis = run[0]
    assert isinstance(genesis, Genesis)
    replay = Replay(genesis)
    replay.follow(run[1], "")
    replay.progress.state.who.coins[3] += 5
    with pytest.raises(LedgerError, match="coins: expected a change by 0 units, found 5"):
        replay.follow(run[2], "")

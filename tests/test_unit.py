"""The gate has no unit: what a metric is multiplied by, even by -1, changes nothing but numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from hypothesis import given
from hypothesis import strategies as st

from flower_relay import FolderStore, InMemoryGrid, RelayStrategy
from flower_relay.federation.scale import bound_of
from flower_relay.ledger.chain import MemoryChain
from flower_relay.mechanism.blocks import Deposit, Genesis, Publication, Settlement
from flower_relay.node.mod import relay_mod
from flower_relay.rules.gate import LegVerdict, judge_leg
from flower_relay.rules.votes import bounded_utility
from flower_relay.settings import RelaySettings

from .signers import OPERATOR, descending, fixed_keys, play, same_run, verify
from .test_golden import aim
from .test_scale import answers

NODES = 5
"""All of whom examine what they did not train: draws follow from hashes, which name the unit."""

Report = Callable[[float], float]


def pulling(report: Report, mods: Sequence[Any] = ()) -> ClientApp:
    """Each node pulls towards a place of its own, one away from it; `report` of its loss votes."""
    app = ClientApp(mods=list(mods))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        number, target = aim(context)
        w = message.content["arrays"]["w"].numpy()
        step = -0.75 if number == 2 else 0.25
        record = ArrayRecord({"w": Array(w + step * (target - w))})
        return Message(RecordDict({"arrays": record}), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        number, target = aim(context)
        loss = float(np.mean((message.content["arrays"]["w"].numpy() - target) ** 2))
        metrics = {"score": report(loss), "num-examples": 4, "partition-id": number}
        return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)

    return app


def accuracy(loss: float) -> float:
    return 1 / (1 + 4 * loss)


@cache
def played(
    report: Report, rises: bool, bound: float | None = None, rounds: int = 16, **more: Any
) -> RelayStrategy:
    grid = InMemoryGrid(pulling(report), NODES, node_ids=range(101, 101 + NODES))
    strategy = RelayStrategy(
        utility_key="score", utility_rises=rises, utility_bound=bound, seed=5,
        **same_run() | {"audit": 1.0, "planted": 0.0} | more,
    )  # fmt: skip
    strategy.start(grid, ArrayRecord({"w": Array(np.zeros(4))}), num_rounds=rounds, timeout=20)
    assert verify(strategy.chain).ok
    return strategy


@dataclass(frozen=True)
class Deeds:
    """What a run decided: everything on its ledger but hashes and what was reported."""

    exact: list[Any]
    numbers: list[float]


def deeds(strategy: RelayStrategy) -> Deeds:
    exact: list[Any] = []
    numbers: list[float] = []
    for block in strategy.chain:
        match block:
            case Deposit():
                exact.append([(lane.base, lane.trainers) for lane in block.lanes])
                numbers += [units for lane in block.lanes for units in lane.deposits]
            case Settlement():
                hops = [hop for lane in block.lanes for hop in lane.hops]
                exact.append([(hop.trainer, hop.model, hop.outcome) for hop in hops])
                exact.append([(paid.participant, paid.rule) for paid in block.payments])
                exact.append([(one.participant, one.waits_until) for one in block.standings])
                numbers += [paid.units for paid in block.payments]
                numbers += [hop.vote or 0.0 for hop in hops]
                for one in block.standings:
                    numbers += [one.bond, one.vote_debt, one.audit_debt]
            case Publication():
                exact.append(block)
    return Deeds(exact, numbers)


def coarse(loss: float) -> float:
    """An accuracy over thirty cases: many hops have the same, and rounding must not rank them."""
    return round(30 * accuracy(loss)) / 30


def bound(strategy: RelayStrategy) -> float:
    genesis = next(iter(strategy.chain))
    assert isinstance(genesis, Genesis)
    return genesis.bound


def loss(found: float) -> float:
    return found


UNITS: dict[str, tuple[tuple[Report, bool], tuple[Report, bool, float | None]]] = {
    "1000 x loss": ((loss, False), (lambda found: 1000 * found, False, None)),
    "loss / 10^9": ((loss, False), (lambda found: found / 1e9, False, None)),
    "-loss": ((loss, False), (lambda found: -found, True, None)),
    "-1000 x loss": ((loss, False), (lambda found: -1000 * found, True, None)),
    "percent": ((accuracy, True), (lambda found: 100 * accuracy(found), True, None)),
    "percent of thirty": ((coarse, True), (lambda found: 100 * coarse(found), True, None)),
    "-accuracy": ((accuracy, True), (lambda found: -accuracy(found), False, None)),
    "-percent": ((accuracy, True), (lambda found: -100 * accuracy(found), False, None)),
    "per mille": ((accuracy, True), (lambda found: 1000 * accuracy(found), True, 1000.0)),
}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("options", [{}, {"lanes": 2}, {"planted": 0.2, "rounds": 4}], ids=str)
def test_a_run_in_another_unit_decides_and_pays_the_same(
    unit: str, options: dict[str, Any]
) -> None:
    usual, other = (deeds(played(*world, **options)) for world in UNITS[unit])
    assert usual.exact == other.exact
    assert other.numbers == pytest.approx(usual.numbers, rel=1e-9, abs=1e-9)
    if unit in ("-loss", "-accuracy"):  # no bit is rounded otherwise
        assert usual.numbers == other.numbers


def test_a_run_that_is_compared_rejects_and_pays() -> None:
    strategy = played(loss, False)
    assert {"accepted", "rejected"} <= {hop.outcome for hop in strategy.record.hops}
    assert strategy.running.state.minted["contribution"] > 0


def test_the_genesis_block_says_on_which_side_of_zero_a_metric_lies() -> None:
    assert bound(played(*UNITS["-loss"][1])) == -bound(played(loss, False))
    assert bound(played(*UNITS["-percent"][1])) == -100


def negated(message: Message, context: Context, call_next: Any) -> Message:
    """A mod inside the relay's: what is signed is the negative of the loss."""
    reply: Message = call_next(message, context)
    for record in reply.content.values():
        if isinstance(record, MetricRecord) and "eval_loss" in record:
            record["eval_loss"] = -float(record["eval_loss"])  # type: ignore[arg-type]
    return reply


def test_signed_votes_in_another_unit_verify_and_say_the_same(tmp_path: Path) -> None:
    keys = [fixed_keys(tmp_path / name, 7) for name in ("usual", "other")]
    more: dict[str, Any] = {"nonces": 0, "examiners": 7, "audit": 1.0, "planted": 0.0, **same_run()}
    usual = play(descending(), keys[0], **more)
    other = play(descending((relay_mod, negated)), keys[1], utility_rises=True, **more)
    verdict = verify(other.chain)
    assert verdict.ok, verdict.first_problem
    assert deeds(usual) == deeds(other)


def test_a_resumed_run_knows_the_side_of_zero(tmp_path: Path) -> None:
    chain, (report, rises, _) = MemoryChain(OPERATOR), UNITS["-loss"][1]
    more: dict[str, Any] = {
        "chain": lambda: chain, "store": lambda: FolderStore(tmp_path), "resume": True,
    }  # fmt: skip
    played(report, rises, rounds=5, **more)
    assert deeds(played(report, rises, **more)) == deeds(played(report, rises))


REPORTS = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))
FACTORS = st.floats(1e-6, 1e6)


@given(REPORTS, st.floats(1e-3, 1e6), st.booleans(), FACTORS)
def test_a_factor_on_a_metric_and_its_bound_cancels_out(
    value: float, bound: float, rises: bool, factor: float
) -> None:
    usual = bounded_utility(value, bound, rises)
    assert bounded_utility(factor * value, factor * bound, rises) == pytest.approx(usual, abs=1e-9)
    assert bounded_utility(-value, -bound, not rises) == usual


def judged(reports: np.ndarray, rises: bool) -> LegVerdict:
    """A leg's verdict, from what four examiners report; the first row is of the first model."""
    settings = RelaySettings(utility_key="score", utility_rises=rises)
    bound = bound_of(answers(*reports[0].tolist()), settings)
    utilities = np.array([[bounded_utility(one, bound, rises) for one in row] for row in reports])
    return judge_leg(utilities, np.ones(4), settings.tolerance, [1.0] * (len(reports) - 1), 0.0)


LEGS = st.integers(1, 4).flatmap(
    lambda hops: st.lists(
        st.lists(st.integers(1, 999), min_size=4, max_size=4), min_size=hops + 1, max_size=hops + 1
    )
)
"""What was reported, in thousandths."""


@given(LEGS, FACTORS)
def test_a_loss_times_any_number_is_judged_alike(leg: list[list[int]], factor: float) -> None:
    reports = np.array(leg) / 1000
    usual = judged(reports, False)
    assert judged(-reports, True) == usual
    assert judged(factor * reports, False).votes == pytest.approx(usual.votes, abs=1e-9)
    apart = [vote + 0.11 for vote in (*usual.votes, *usual.rises)]
    apart += [rise + 0.22 for rise in usual.rises]
    if min(map(abs, apart)) > 1e-9:  # what lies on the line itself, rounding decides
        assert judged(factor * reports, False).kept == usual.kept


@given(LEGS)
def test_an_accuracy_may_be_a_percentage_or_negative(leg: list[list[int]]) -> None:
    thousandths = np.array(leg)
    thousandths[0] = np.maximum(thousandths[0], 11)  # one percent is a fraction as well
    usual = judged(thousandths / 1000, True)
    assert judged(-thousandths / 1000, False) == usual
    assert judged(thousandths / 10, True).votes == pytest.approx(usual.votes, abs=1e-9)


WIDE = "no hop changed it by half the tolerance"
BEYOND = "the gate is open there"


def told(caplog: pytest.LogCaptureFixture, app: Any, rises: bool) -> str:
    """What the log says of a run whose clients, or what they report of their losses, are given."""
    app = app if isinstance(app, ClientApp) else pulling(app)
    with caplog.at_level("WARNING", logger="flwr"):
        grid = InMemoryGrid(app, NODES, node_ids=range(101, 101 + NODES))
        strategy = RelayStrategy(utility_key="score", utility_rises=rises, seed=5, **same_run())
        strategy.start(grid, ArrayRecord({"w": Array(np.zeros(4))}), num_rounds=16, timeout=20)
    return caplog.text


@pytest.mark.parametrize(
    ("report", "rises", "cure"),
    [
        (lambda found: found + 1000, False, "report it so that its best value is 0"),
        (lambda found: found - 100, False, "set utility_bound to the largest size"),
        (lambda found: -found - 100, True, "report it so that its best value is 0"),
        (lambda found: accuracy(found) + 5, True, "set utility_bound to the largest size"),
    ],
)
def test_a_constant_that_hides_every_change_is_warned_of_once_with_its_cure(
    caplog: pytest.LogCaptureFixture, report: Report, rises: bool, cure: str
) -> None:
    text = told(caplog, report, rises)
    assert text.count(WIDE) == 1
    assert cure in text


@pytest.mark.parametrize(
    ("report", "rises", "cure"),
    [
        (lambda found: accuracy(found) - 0.25, True, "as 1 - R² of an R²"),
        (lambda found: 100 * max(0.0, accuracy(found) - 0.25), True, "100 where it is in percent"),
    ],
)
def test_what_most_nodes_report_beyond_the_best_value_is_warned_of_once_with_its_cure(
    caplog: pytest.LogCaptureFixture, report: Report, rises: bool, cure: str
) -> None:
    text = told(caplog, report, rises)
    assert text.count(BEYOND) == 1
    assert cure in text


def test_one_node_beyond_the_best_value_is_named_and_refutes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def lying(message: Message, context: Context, call_next: Any) -> Message:
        reply: Message = call_next(message, context)
        config = message.content.config_records["config"]
        later = message.metadata.message_type == "evaluate" and config.get("server-round")
        if later and context.node_config["partition-id"] == 1:
            reply.content.metric_records["metrics"]["score"] = -1.0
        return reply

    text = told(caplog, pulling(loss, mods=(lying,)), False)
    assert text.count("is -1, less than 0, and counts as that") == 1
    assert BEYOND not in text


@pytest.mark.parametrize(("report", "rises"), [(loss, False), (accuracy, True)])
def test_a_metric_that_fits_is_not_warned_of(
    caplog: pytest.LogCaptureFixture, report: Report, rises: bool
) -> None:
    text = told(caplog, report, rises)
    assert WIDE not in text and BEYOND not in text

"""A comparison's tables: what is in each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .contests import Contest, best_rival, contests, target_of
from .detection import detection_row, is_relay
from .figures import AXES, FAIRNESS
from .files import Results
from .statistics import difference, median, ratio, worst
from .table import SHARE, Table, Value, write_tables

__all__ = ["tables_of", "write_tables"]

_MEGA = 1e6
_RULE = (
    "The target is 97 % of the best averaging strategy's rise above what is had without "
    "learning (the commonest class, or the mean). "
)
_LEARNED = (
    "Learned is the share of what there is to learn above the commonest class or the mean: 1 is "
    "all of it."
)


def tables_of(results: Results) -> list[Table]:
    """Every table that the cells of a folder can fill."""
    found = contests(results.cells)
    clean = {(c.data, c.partition): c for c in found if not c.attack}
    highest = float(results.plan["target"])
    tables = [
        _to_target([c for c in found if not c.attack], highest),
        _at_equal_budget(found),
        _price_of_the_gate(list(clean.values())),
        _under_attack([c for c in found if c.attack], clean),
        _detection(found),
        _fairness(found),
    ]
    return [table for table in tables if table.rows]


def _to_target(found: Sequence[Contest], asked: float) -> Table:
    rows: list[dict[str, Value]] = []
    for contest in found:
        target = target_of(contest, asked)
        rival = best_rival(contest, "epochs", target)
        for strategy, cells in contest.cells.items():
            rows.append(
                {
                    **contest.where,
                    "target": f"{target:.3f}" if math.isfinite(target) else "nothing was learned",
                    "strategy": strategy,
                    "reached": f"{contest.reached(strategy, target)} of {len(cells)}",
                    **_spent(contest, strategy, target, rival),
                }
            )
    return Table(
        name="cost_to_target",
        title="What it costs to reach an accuracy, nobody hostile",
        note="Medians over seeds with 95 % bootstrap intervals; a seed that never gets there "
        f"counts with its whole run. {_RULE if asked == 0 else ''}The rival is the averaging "
        "strategy with the fewest client-epochs. Evaluations are models that examiners tried, "
        "beside the training; averaging strategies ask for none. Seconds are of simulated fleets.",
        rows=rows,
        spelling={
            "client-epochs": ".0f", "of the best rival's": ".2f", "evaluations": ",.0f",
            "evaluations a client-epoch": ".1f", "megabytes": ".1f", "of FedAvg's": ".2f",
            **{axis: ",.1f" for axis in AXES if axis.startswith("seconds")},
        },
    )  # fmt: skip


def _spent(contest: Contest, strategy: str, target: float, rival: str | None) -> dict[str, Value]:
    epochs, sent = (contest.spent(strategy, axis, target) for axis in ("epochs", "bytes"))
    theirs = contest.spent(rival, "epochs", target) if rival else {}
    averaged = contest.spent("fedavg", "bytes", target) if "fedavg" in contest.cells else {}
    return {
        "client-epochs": median(epochs),
        "of the best rival's": ratio(epochs, theirs),
        "evaluations": median(contest.spent(strategy, "evaluations", target)),
        "evaluations a client-epoch": median(contest.evaluations(strategy)),
        "megabytes": median([value / _MEGA for value in sent.values()]),
        "of FedAvg's": ratio(sent, averaged),
        **{
            axis: median(contest.spent(strategy, axis, target))
            for axis in AXES
            if axis.startswith("seconds")
        },
    }


def _at_equal_budget(found: Sequence[Contest]) -> Table:
    rows: list[dict[str, Value]] = []
    for contest in found:
        budgets = {axis: contest.common_budget(axis) for axis in AXES}
        for strategy in contest.cells:
            final, learned = contest.final(strategy), contest.learned(strategy)
            at = {
                f"equal {axis}": median(contest.accuracy_at(strategy, axis, budget))
                for axis, budget in budgets.items()
            }
            rows.append(
                {
                    **contest.where,
                    "attack": contest.threat,
                    "strategy": strategy,
                    "learned": median(learned),
                    "worst seed": worst(final),
                    **at,
                }
            )
    return Table(
        name="final_accuracy",
        title="Accuracy at equal budgets",
        note="Mean of the last three of forty records; medians over seeds with 95 % bootstrap "
        f"intervals. {_LEARNED} A budget of bytes or of a fleet's seconds is what the strategy "
        "that used least needed for its client-epochs.",
        rows=rows,
        spelling={"learned": SHARE, "worst seed": ".3f", **{f"equal {a}": ".3f" for a in AXES}},
    )


def _price_of_the_gate(clean: Sequence[Contest]) -> Table:
    rows: list[dict[str, Value]] = [
        {
            **contest.where,
            "tested": median(contest.final("relay")),
            "untested": median(contest.final("relay-untested")),
            "tested minus untested": difference(
                contest.final("relay"), contest.final("relay-untested")
            ),
        }
        for contest in clean
        if {"relay", "relay-untested"} <= contest.cells.keys()
    ]
    return Table(
        name="price_of_the_gate",
        title="What testing costs when nobody is hostile",
        note="Final accuracy of the relay and of the same relay without examiners, and the "
        "median of their difference seed by seed.",
        rows=rows,
        spelling={"tested": ".3f", "untested": ".3f", "tested minus untested": "+.3f"},
    )


def _under_attack(attacked: Sequence[Contest], clean: Mapping[tuple[str, str], Contest]) -> Table:
    rows: list[dict[str, Value]] = []
    for contest in attacked:
        own = clean.get((contest.data, contest.partition))
        for strategy in contest.cells:
            final = contest.final(strategy)
            before = own.final(strategy) if own and strategy in own.cells else {}
            rows.append(
                {
                    **contest.where,
                    "attack": contest.threat,
                    "strategy": strategy,
                    "final accuracy": median(final),
                    "worst seed": worst(final),
                    "learned": median(contest.learned(strategy)),
                    "minus its own clean": difference(final, before),
                    "attack succeeds": median(contest.of(strategy, _fooled)),
                }
            )
    return Table(
        name="under_attack",
        title="Under attack",
        note="Final accuracy, and the median of its difference from the same strategy with "
        f"nobody hostile, seed by seed. {_LEARNED} An attack succeeds where a trigger is obeyed, "
        "or a flipped class is called what it was flipped to.",
        rows=rows,
        spelling={
            "final accuracy": ".3f", "worst seed": ".3f", "learned": SHARE,
            "minus its own clean": "+.3f", "attack succeeds": ".2f",
        },
    )  # fmt: skip


def _fooled(found: Mapping[str, Any]) -> float:
    value = found["records"][-1]["backdoor"]
    return float("nan") if value is None else float(value)


def _detection(found: Sequence[Contest]) -> Table:
    rows: list[dict[str, Value]] = []
    for contest in found:
        for strategy, cells in contest.cells.items():
            if not all(is_relay(cell) for cell in cells.values()):
                continue
            row = {"attack": contest.threat, "strategy": strategy}
            rows.append({**contest.where, **row, **detection_row(contest, strategy)})
    return Table(
        name="detection",
        title="Who was found out, and who was paid",
        note="Precision: of the rejected hops, the hostile ones. Recall: of the hostile hops "
        "with a verdict, the rejected ones. Voided: undone by somebody else's hop. Rewards to "
        "hostile participants are relative to their share of the heads (1 is their share).",
        rows=rows,
        spelling={
            "precision": ".2f", "recall": ".2f", "hostile hops": ".1%",
            "honest hops rejected": ".1%", "honest hops voided": ".1%",
            "rewards to hostile, per head": ".2f",
        },
    )  # fmt: skip


def _fairness(found: Sequence[Contest]) -> Table:
    rows: list[dict[str, Value]] = [
        {
            **contest.where,
            "attack": contest.threat,
            "strategy": strategy,
            **{name: median(contest.of(strategy, figure)) for name, figure in FAIRNESS.items()},
        }
        for contest in found
        for strategy in contest.cells
    ]
    return Table(
        name="fairness",
        title="Each participant's own side",
        note="The result's accuracy on the cases that each honest participant kept for "
        "examining, and how long ago, at the end, each participant was last sent a model.",
        rows=rows,
        spelling={name: ".3f" if "own" in name else ".1f" for name in FAIRNESS},
    )

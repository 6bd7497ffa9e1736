"""When a run has failed, and what is said then: who had what trouble, and what may be behind it.

A run in which no hop counted is no result. It ends with an error, so that `flwr run` reports a
failed run. A run whose hops were all voted down goes on: no committee can end it by its votes.
"""

from __future__ import annotations

from collections import Counter
from logging import WARNING

import numpy as np
from flwr.common import log

from ..errors import RunFailedError
from ..mechanism.blocks import Deposit
from ..mechanism.settlement import seen_in_planted
from ..rules.outcomes import Fault, Outcome
from ..rules.votes import best_is_bound
from .notices import Notice
from .record import HopRow
from .run import Run

__all__ = ["check_end", "check_faults", "note_planted", "warn_of_cycle"]

_TESTED = frozenset(Outcome) - {Outcome.UNTESTED}
_MOST_SHOWN = 3
_LITTLE = 0.5
"""Of a tolerance. Where no hop of the first cycle changes a metric more, its unit is in doubt."""

_CAUSES = {
    Fault.ERROR: "the ClientApp raises when it trains",
    Fault.TIMEOUT: "training takes longer than `timeout`, or the ClientApp hangs",
    Fault.LEFT: "nodes go away, their processes crash (memory, a killed worker), or they are far "
    "slower than the others",
    Fault.LATE: "all devices but a few are far slower than those",
    Fault.MIS_SHAPED: (
        "the ClientApp returns another state dict than it was sent: a prefix such as `_orig_mod.` "
        "(torch.compile) or `module.` (DataParallel), a part of the model, another precision, or "
        "a second ArrayRecord"
    ),
    Fault.NON_FINITE: "training diverges: the learning rate may be too high",
    Fault.UNCHANGED: "the ClientApp returns the weights that it was sent, or trains on no data",
    Fault.OVERSIZED: "training moves the model far more than that of accepted hops",
    Fault.COPIED: "all trainers return the same model",
    Fault.UNSIGNED: "the mod does not sign what the ClientApp returns",
}


def check_faults(run: Run) -> None:
    """End a run in which, to begin with, all trainers had the same kind of fault.

    Raises
    ------
    RunFailedError
        Once as many hops as there are trainers here came to nothing in the same way.
    """
    hops, trainers = run.record.hops, int((run.present() & run.state.who.trains).sum())
    kinds = {hop.outcome for hop in hops}
    kind = kinds.pop() if len(kinds) == 1 else None
    if len(hops) < max(trainers, 1) or not isinstance(kind, Fault):
        return
    raise RunFailedError(
        f"expected a trained model from {_counted(hops)}, and every hop so far ended as "
        f"'{kind}'. {_told(run.record.notices.of_kind(kind))} "
        f"Most likely {_CAUSES[kind]}. "
        "The genesis model is unchanged; mend the ClientApp and start again."
    )


def check_end(run: Run) -> None:
    """End as failed a run in which no hop counted.

    Raises
    ------
    RunFailedError
        Saying what became of the hops.
    """
    if run.state.who.accepted.any():
        return
    found = Counter(hop.outcome for hop in run.record.hops)
    counted = ", ".join(f"{number} {outcome}" for outcome, number in found.most_common())
    notices = [notice for kind in found for notice in run.record.notices.of_kind(kind)]
    parts = [f"the run is over and no hop counted: {counted or 'nobody trained'}."]
    parts += [_told(notices)] if notices else []
    parts += [_voted_down(run)] if {Outcome.REJECTED, Outcome.VOIDED} & found.keys() else []
    raise RunFailedError(" ".join([*parts, "The champion is still the genesis model."]))


def warn_of_cycle(run: Run, following: Deposit) -> None:
    """Warn where the cycle before a deposit taught nothing: all hops were voted down, or alike."""
    if following.cycle == run.state.cycle and run.state.settings.topology == "chain":
        return
    hops, run.cycle_began = run.record.hops[run.cycle_began :], len(run.record.hops)
    judged = [hop for hop in hops if hop.outcome in _TESTED]
    if judged and all(hop.outcome != Outcome.ACCEPTED for hop in judged):
        log(
            WARNING,
            "Round %d: all %d hops that were tested since the last cycle were voted down. %s",
            *(run.state.round, len(judged), _voted_down(run)),
        )
    votes = [hop.vote for hop in judged if hop.vote is not None]
    if votes and not any(votes):
        log(
            WARNING,
            "Round %d: no examiner saw any difference between a hop and its base. The gate lets "
            "everything pass then. Look at what '%s' holds, and set utility_bound to its largest "
            "value that counts (now %g).",
            *(run.state.round, run.state.settings.utility_key, abs(run.state.bound)),
        )
    if run.state.cycle == 0 and run.harm_seen and not any(run.harm_seen):
        _warn_of_unit(run, max(map(abs, votes), default=0.0))


def note_planted(run: Run) -> None:
    """Note whether the committee of this round saw harm in models that were drowned in noise."""
    testing = run.state.testing
    if testing is not None and testing.planted and run.state.cycle == 0:
        told = seen_in_planted(run.state, testing)
        run.harm_seen.append(not np.isnan(told).all())


def _warn_of_unit(run: Run, largest: float) -> None:
    """Warn where the first cycle's examiners saw no harm in noise, and hardly a change by a hop."""
    settings, bound = run.state.settings, run.state.bound
    if largest >= _LITTLE * settings.tolerance:
        return
    cure = (
        "set utility_bound to the largest size that is possible, or, if 0 is the best value, "
        f"utility_rises = {not settings.utility_rises}"
        if best_is_bound(bound, settings.utility_rises)
        else "report it so that its best value is 0"
    )
    run.record.notices.tell(
        f"'{settings.utility_key}'",
        "too wide",
        "in the first cycle no hop changed it by half the tolerance, which is "
        f"{settings.tolerance * abs(bound):g}, and noise that drowned the model did no harm. Where "
        f"the model is better than noise by now, the gate is open: begin again, and {cure}.",
    )


def _counted(hops: list[HopRow]) -> str:
    number = len({hop.trainer for hop in hops})
    return f"{number} trainer{'s' if number > 1 else ''}"


def _told(notices: list[Notice]) -> str:
    """The reasons of the first few, each once."""
    by_reason: dict[str, list[str]] = {}
    for notice in notices:
        by_reason.setdefault(notice.reason, []).append(notice.who)
    shown = [
        f"{who[0]}{f' and {len(who) - 1} more' if len(who) > 1 else ''}: {reason or 'no reason'}."
        for reason, who in list(by_reason.items())[:_MOST_SHOWN]
    ]
    return " ".join(shown)


def _voted_down(run: Run) -> str:
    settings = run.state.settings
    rises = "rise" if settings.utility_rises else "fall"
    return (
        f"The committee compares '{settings.utility_key}', which should {rises} as a model gets "
        "better (utility_rises says which), and a hop may lower it by the tolerance "
        f"({settings.tolerance:g} of {abs(run.state.bound):g}). A learning rate that is too high "
        "is voted down, too."
    )

"""The scale of the metric that votes, checked at the first contact.

A vote is a metric as a share of its bound. Where the bound does not fit the metric, the gate
lets everything pass, or it is upside down; so a run with such a bound does not begin. The
median of what the nodes report decides, so that no single node can stop a run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from ..errors import ConfigurationError, NotEnoughParticipantsError
from ..settings import RelaySettings
from .greetings import Answer

__all__ = ["bound_of", "check_utility"]


def check_utility(found: Sequence[Answer], settings: RelaySettings) -> None:
    """Refuse to begin where nobody reports the metric that votes, or its scale does not fit.

    Raises
    ------
    ConfigurationError
        Naming the metrics that the replies hold, or the setting that has to change.
    NotEnoughParticipantsError
        When nobody answered with metrics; with what the ClientApp said.
    """
    if any(answer.metric is not None for answer in found):
        bound_of(found, settings)
        return
    keys = sorted({key for answer in found for key in answer.found})
    if keys:
        lists = any(settings.utility_key in answer.found for answer in found)
        what = "as a number " if lists else ""
        raise ConfigurationError(
            f"no node reports '{settings.utility_key}' {what}when it evaluates; the replies hold: "
            f"{', '.join(keys[:20])}. Set utility_key (and utility_rises) to one of them."
        )
    reasons = [answer.trouble for answer in found if answer.trouble]
    raised = f" The first of {len(reasons)} that failed said: {reasons[0]}" if reasons else ""
    raise NotEnoughParticipantsError(
        f"none of {len(found)} nodes answered the first evaluate message with metrics.{raised} "
        "A relay needs a ClientApp whose @app.evaluate() function replies with a MetricRecord."
    )


def bound_of(found: Sequence[Answer], settings: RelaySettings) -> float:
    """The bound of the utility: as set, else 1 for a metric that rises, else twice the loss.

    Raises
    ------
    ConfigurationError
        When what the nodes report of the first model lies outside the bound, or at its end.
    """
    said = [answer.metric for answer in found if answer.metric is not None]
    finite = [value for value in said if math.isfinite(value)]
    key, bound, rises = settings.utility_key, settings.utility_bound, settings.utility_rises
    if bound is None and (not said or settings.examiners == 0):
        middle = 2 * median(finite) if finite and not rises else 1.0
        return middle if middle > 0 else 1.0
    if said and 2 * len(finite) <= len(said) and settings.examiners:
        raise ConfigurationError(
            f"'{key}' of the first model is NaN or infinite at {len(said) - len(finite)} of "
            f"{len(said)} nodes: nothing can be compared with that. Mend the first model or the "
            "metric, or set utility_key to another one."
        )
    if not finite or settings.examiners == 0:
        return bound or 1.0
    middle = median(finite)
    if middle < 0:
        raise ConfigurationError(_negative(key, middle, rises))
    if bound is None:
        bound = 1.0 if rises else 2 * middle
    if bound <= 0:
        raise ConfigurationError(
            f"'{key}' is 0 for the first model, and a loss is bounded by twice that. Set "
            "utility_bound to the largest value that counts, or utility_rises = True where "
            "larger is better."
        )
    if middle > bound or (middle == bound and not rises):
        raise ConfigurationError(_beyond(key, middle, bound, rises))
    return bound


def _negative(key: str, middle: float, rises: bool) -> str:
    cure = (
        "Report the loss itself and set utility_rises = False; of a score that starts below zero "
        "report one that does not"
        if rises
        else "Where larger is better set utility_rises = True and report it without the minus; "
        "else add a constant, so that the best possible value is 0"
    )
    return (
        f"'{key}' is {middle:g} for the first model (the median of the nodes), and what is below "
        f"0 counts as 0: hops could not be told apart. {cure}."
    )


def _beyond(key: str, middle: float, bound: float, rises: bool) -> str:
    percent = " (100 where it is in percent)" if rises and bound == 1 else ""
    return (
        f"'{key}' is {middle:g} for the first model (the median of the nodes), and what is beyond "
        f"utility_bound = {bound:g} counts as {bound:g}: hops could not be told apart. Set "
        f"utility_bound to the largest value that counts{percent}"
        f"{'' if rises else ', or leave it out; set utility_rises = True where larger is better'}."
    )

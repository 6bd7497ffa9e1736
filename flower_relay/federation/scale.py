"""The scale of the metric that votes: its bound, from what nodes report of the first model.

A vote is a metric as a share of its bound, so the metric may have any unit. Its sign says on which
side of zero it lies: a loss may be reported as its negative, and an accuracy as well. A constant
that was added cannot be told from a level. Where no bound fits, the gate would let everything
pass, and the run does not begin. What shows only later is warned of then. The median decides, so
that no single node can stop a run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from ..errors import ConfigurationError, NotEnoughParticipantsError
from ..rules.votes import best_is_bound
from ..settings import RelaySettings
from .greetings import Answer

__all__ = ["bound_of", "check_utility"]

_CEILINGS = (1.0, 100.0)
"""Of a metric that is best at its bound: a fraction, or a percentage."""


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
    """The bound of the utility, on the side of zero on which the nodes report the metric.

    In size it is as set. Else it is twice the first model's median, where 0 is the best value, as
    of a loss. Where larger sizes are better it is 1, or 100 where the median is beyond 1.

    Raises
    ------
    ConfigurationError
        When what the nodes report of the first model is no number, lies outside the bound or at
        its end, or has no bound.
    """
    said = [answer.metric for answer in found if answer.metric is not None]
    finite = [value for value in said if math.isfinite(2 * value)]  # or there is no bound either
    key, tested = settings.utility_key, settings.examiners > 0
    if tested and said and 2 * len(finite) <= len(said):
        raise ConfigurationError(
            f"'{key}' of the first model is NaN or infinite at {len(said) - len(finite)} of "
            f"{len(said)} nodes: nothing can be compared with that. Mend the first model or the "
            "metric, or set utility_key to another one."
        )
    side = _side_of(finite, settings.utility_rises)
    middle = abs(median(finite)) if finite else 0.0
    size, from_zero = settings.utility_bound, best_is_bound(side, settings.utility_rises)
    if size is None and from_zero:
        size = next((ceiling for ceiling in _CEILINGS if middle <= ceiling), _CEILINGS[-1])
    elif size is None:
        size = 2 * middle
    if tested and finite:
        _check(settings, side * middle, size, from_zero)
    return side * (size or 1.0)


def _side_of(finite: Sequence[float], rises: bool) -> int:
    """On which side of zero the reports lie.

    Their median tells. Where it is 0, a metric that rises starts at its worst; one that falls does
    so where it is negative elsewhere.
    """
    middle = median(finite) if finite else 0.0
    if middle == 0 and not rises and finite:
        elsewhere = [value for value in finite if value]
        middle = median(elsewhere or [math.copysign(1.0, value) for value in finite])
    return -1 if middle < 0 else 1


def _check(settings: RelaySettings, middle: float, size: float, from_zero: bool) -> None:
    """Refuse a bound that the first model reaches, or that is none."""
    key, rises = settings.utility_key, settings.utility_rises
    if size <= 0:
        raise ConfigurationError(
            f"'{key}' is 0 for the first model, and a loss is bounded by twice that. Set "
            "utility_bound to the largest value that counts, or utility_rises = True where "
            "larger is better."
        )
    if abs(middle) < size or (from_zero and abs(middle) == size):
        return
    told = f"'{key}' is {middle:g} for the first model (the median of the nodes)"
    if settings.utility_bound is None:
        raise ConfigurationError(
            f"{told}, neither a fraction nor a percentage, so that no bound follows from it. Set "
            "utility_bound to the largest size that counts. Where 0 is the best value, set "
            f"utility_rises = {not rises}."
        )
    percent = " (100 where it is in percent)" if from_zero and size == 1 else ""
    unset = f", or leave it out. Where 0 is the worst value, set utility_rises = {not rises}"
    raise ConfigurationError(
        f"{told}, and what is beyond utility_bound = {math.copysign(size, middle):g} counts as "
        f"that: hops could not be told apart. Set utility_bound to the largest size that counts"
        f"{percent}{'' if from_zero else unset}."
    )

"""What kinds of imagined examiners say of what they found.

Stands beside `flower_relay.economy.chain`, which imagines what they find and asks here what
they say. Whose model it is liars know: that is the worst case.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .policies import Examining

__all__ = ["said_of_audit", "said_of_model"]

_LIFT = 0.03
"""What an audit liar adds to its own kind's probes, and takes from others'."""

Utilities = NDArray[np.float64]


def said_of_model(kind: Examining, ours: bool, found: Utilities) -> Utilities:
    """What examiners of a kind say of a model.

    Parameters
    ----------
    ours : bool
        Whether one of their kind made it.
    found : array of shape (examiners,)
        Utilities as they are.
    """
    if kind == Examining.COLLUDES:
        return np.full_like(found, float(ours))
    return 1.0 - found if kind == Examining.REVERSES else found


def said_of_audit(
    kind: Examining, ours: bool, reference: Utilities, probe: Utilities, spread: float
) -> tuple[Utilities, Utilities]:
    """What examiners of a kind say of an audit's reference and of its probe.

    Parameters
    ----------
    ours : bool
        Whether the audited hop is one of their kind's.
    reference, probe : arrays of shape (examiners,)
        Utilities as they are.
    spread : float
        Standard deviation of what honest examiners find of one audit.
    """
    lift = {Examining.LIFTS: _LIFT, Examining.WHISPERS: spread}.get(kind)
    if lift is not None:
        return reference, np.clip(probe + (lift if ours else -lift), 0.0, 1.0)
    if kind == Examining.COLLUDES:
        return np.full_like(reference, 0.5), np.full_like(probe, float(ours))
    return said_of_model(kind, ours, reference), said_of_model(kind, ours, probe)

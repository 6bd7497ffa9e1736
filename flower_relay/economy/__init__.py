"""The numerical simulation of the mechanism: exact, seeded, at any scale.

`simulate(EconomySettings(...))` plays an economy on the same rules as a live relay;
`replay(FILE)` holds those rules against the authors' own recorded economy.
"""

from .policies import POLICIES, Policy
from .result import EconomyResult
from .settings import EconomySettings
from .simulation import simulate
from .trace import ReplayReport, replay

__all__ = [
    "POLICIES",
    "EconomyResult",
    "EconomySettings",
    "Policy",
    "ReplayReport",
    "replay",
    "simulate",
]

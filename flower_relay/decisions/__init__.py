"""What each phase of a round decides: (state, what was observed, randomness) → a block.

Nothing here reads a clock, a network or a file, so the live federation and the verifier
decide alike. `flower_relay.state.apply` folds the blocks that come out.
"""

from __future__ import annotations

from .deposits import decide_deposits, decide_next_deposit, hops_left
from .publication import Averages, decide_publication
from .randomness import generator, seed_from
from .settlement import decide_settlement
from .tests import (
    AuditTerms,
    TestPlan,
    audit_terms,
    candidates,
    decide_nonces,
    decide_tests,
    may_bring_nonces,
)

__all__ = [
    "AuditTerms",
    "Averages",
    "TestPlan",
    "audit_terms",
    "candidates",
    "decide_deposits",
    "decide_next_deposit",
    "decide_nonces",
    "decide_publication",
    "decide_settlement",
    "decide_tests",
    "generator",
    "hops_left",
    "may_bring_nonces",
    "seed_from",
]

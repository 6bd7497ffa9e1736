"""Speculation on the wire: the next legs are sent ahead while the committee tests the last.

What is supposed is in memory only. Once the next deposit block is on the record, hops that are
the same under it are taken as they are, so that a ledger is the same with speculation or
without; where a leg failed, those of its baton are rolled back and put on the record for their
trainers to be compensated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .blocks import Testing
from .decisions import can_be_supposed, candidates, decide_ahead, fails
from .errors import ConfigurationError
from .legs import Claims, Legs
from .publishing import StoredAverages
from .running import Running
from .settings import RelaySettings

if TYPE_CHECKING:
    from .strategy import RelayStrategy

__all__ = ["check_speculation", "send_ahead", "with_rolled_back"]


def check_speculation(settings: RelaySettings) -> None:
    """Refuse to speculate where a test says more than whether a leg passes.

    Raises
    ------
    ConfigurationError
        Naming the settings.
    """
    if not can_be_supposed(settings):
        raise ConfigurationError(
            f"speculate = True with topology = {settings.topology!r}, lanes = {settings.lanes}, "
            f"lanes_meet = {settings.lanes_meet!r}, examiners = {settings.examiners}: expected a "
            "chain that is tested, of one lane or of lanes that meet in their average. Nothing "
            "can be sent ahead where tests rank what is gone on with, or where there are none."
        )


def send_ahead(strategy: RelayStrategy, run: Running, testing: Testing) -> None:
    """Send the next round's batons, if it can be told what they will be; once in a round."""
    if not strategy.speculate or run.ahead or run.state.round >= run.record.num_rounds:
        return
    averages = _Batons(run)
    hops, turns = run.progress.hops, strategy.order_of_turns
    following = decide_ahead(run.state, testing, averages, hops, turns)
    if following is not None:
        state, deposit = following
        run.ahead = Legs(strategy)
        run.ahead.begin(run.supposing(state, deposit), deposit, ahead=True)


def with_rolled_back(run: Running, testing: Testing) -> Testing:
    """The test, and where it undoes a leg also the hops that were ahead on its baton.

    A hop under way is waited for: what its trainer hands in is signed where it signs, and a
    device does one thing after the other in any case.
    """
    if run.ahead is None or not fails(run.state, testing):
        return testing
    legs, run.ahead = run.ahead, None
    legs.halt()
    while legs.under_way:
        run.courier.serve()
    ahead = _handed_in(legs.claims)
    run.record.hops_rolled_back += sum(len(claims) for claims in legs.claims)
    return replace(testing, ahead=ahead) if any(ahead) else testing


def _handed_in(claims: Claims) -> Claims:
    """Hops that a model came of; for the others nobody is charged."""
    return tuple(tuple(candidates(lane)) for lane in claims)


class _Batons(StoredAverages):
    """Averages of batons, as they will be; trails are of no concern to the next legs."""

    def __init__(self, run: Running) -> None:
        super().__init__(run.store, run.state.settings.trail)

    def extend(self, lane: int, trail: str, batons: Sequence[str], before: int) -> str:
        """The trail as it was."""
        return trail

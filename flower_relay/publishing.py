"""After the settlement: where each lane goes on from, and what people may use.

The trail of a lane is the moving average of its accepted batons; the champion is the
trail of the lane that ranked best. Lanes meet here: low ones restart, or all average.
"""

from __future__ import annotations

from .blocks import LaneResult, Publication, Settlement
from .rules.averaging import extend_trail, weighted_average
from .rules.settlement import rank
from .running import Running

__all__ = ["publish"]


def publish(run: Running, accepted_before: list[int]) -> None:
    """Compute batons and trails, record the publication, and let old models go.

    Parameters
    ----------
    accepted_before : list of int
        Batons in each lane's trail before this round.
    """
    state, settled = run.state, run.state.settlement
    if settled is None:
        return
    if state.settings.topology == "fan-out":
        batons, merged, trails = _fan_out(run, settled, accepted_before[0])
    elif state.settings.lanes_meet == "average" and len(state.lanes) > 1:
        batons, merged, trails = _averaged(run, settled, max(accepted_before))
    else:
        batons, merged, trails = _selected(run, settled, accepted_before)
    champion = trails[_best(settled, len(trails))]
    run.record_block(
        Publication(
            round=state.round,
            batons=batons,
            merged_from=merged,
            trails=trails,
            champion=champion,
        )
    )
    run.store.keep_only({*batons, *trails, *state.recognised})


_Published = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _best(settled: Settlement, num_lanes: int) -> int:
    if num_lanes == 1:
        return 0
    scores = [float("nan") if lane.score is None else lane.score for lane in settled.lanes]
    return settled.restart_from[int(rank(scores)[0])]


def _fan_out(run: Running, settled: Settlement, before: int) -> _Published:
    """The best recognised model of the round; nothing new when nobody was recognised."""
    lane = run.state.lanes[0]
    if not settled.recognised:
        return (lane.baton,), (), (lane.trail,)
    best = settled.recognised[0]
    return (best,), (), (_trail(run, lane.trail, [best], before),)


def _selected(run: Running, settled: Settlement, before: list[int]) -> _Published:
    trails = {
        source: _trail(
            run, run.state.lanes[source].trail, _kept(settled.lanes[source]), before[source]
        )
        for source in sorted(set(settled.restart_from))
    }
    batons = tuple(settled.lanes[source].baton for source in settled.restart_from)
    return batons, (), tuple(trails[source] for source in settled.restart_from)


def _averaged(run: Running, settled: Settlement, before: int) -> _Published:
    """All lanes go on from the average of their batons, weighted by their kept hops."""
    kept = [len(_kept(lane)) for lane in settled.lanes]
    moved = [lane for lane, hops in zip(settled.lanes, kept, strict=True) if hops]
    lanes = len(settled.lanes)
    if not moved:
        return (
            tuple(lane.baton for lane in run.state.lanes),
            (),
            tuple(lane.trail for lane in run.state.lanes),
        )
    models = [run.store.get(lane.baton) for lane in moved]
    weights = [hops / sum(kept) for hops in kept if hops]
    baton = run.store.put(weighted_average(models, weights))
    trail = _trail(run, run.state.lanes[0].trail, [baton], before)
    return (baton,) * lanes, tuple(lane.baton for lane in moved), (trail,) * lanes


def _kept(lane: LaneResult) -> list[str]:
    return [hop.model for hop in lane.hops if hop.outcome == "accepted" and hop.model]


def _trail(run: Running, trail: str, batons: list[str], before: int) -> str:
    """Extend a trail by the batons accepted in this round, in order."""
    keep = run.state.settings.trail
    if not batons:
        return trail
    if keep == 0:
        return batons[-1]
    average = run.store.get(trail)
    for number, baton in enumerate(batons, start=before):
        average = extend_trail(average, run.store.get(baton), keep, number)
    return run.store.put(average)

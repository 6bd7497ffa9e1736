"""After the settlement: what is decided to be published is averaged, stored and recorded.

The trail of a lane is the average of its latest accepted batons; the champion is the
trail of the lane that ranked best. Lanes meet here: low ones restart, or all average.
"""

from __future__ import annotations

from ..mechanism.averages import StoredAverages, models_needed
from ..mechanism.publication import decide_publication
from .run import Run

__all__ = ["collect", "publish"]


def publish(run: Run) -> None:
    """Compute batons and trails, record the publication, and let old models go."""
    state = run.state
    averages = StoredAverages(run.store, state.settings)
    run.record_block(decide_publication(state, averages))
    collect(run)


def collect(run: Run) -> None:
    """Let go of models that nothing needs any more; only between rounds."""
    run.store.keep_only(models_needed(run.progress))

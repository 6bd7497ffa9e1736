"""A clock for what waits: its time passes when somebody sleeps, and not otherwise."""

from __future__ import annotations

__all__ = ["Clock"]


class Clock:
    """Seconds that pass when somebody sleeps."""

    now = 0.0

    def monotonic(self) -> float:
        """Seconds so far."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

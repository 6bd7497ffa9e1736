"""What is asked of a forecast: a run that somebody thinks of."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..comparison.devices import FLEETS, TRAIN_SECONDS
from ..errors import ConfigurationError
from ..settings import RelaySettings

__all__ = ["Question"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A run that somebody thinks of.

    Attributes
    ----------
    hops : int
        Local trainings, in total; FedAvg is given as many.
    cases, epochs, case_seconds : int, int, float
        Of a participant; its epochs a training; seconds a case and epoch on a device of
        speed 1.
    mod : bool
        Whether participants run `relay_mod`.
    fraction : float
        Part of the participants that FedAvg trains in a round.
    """

    nodes: int
    model_mb: float
    hops: int
    fleet: str = "homogeneous"
    cases: int = 500
    epochs: int = 1
    case_seconds: float = TRAIN_SECONDS
    mod: bool = False
    fraction: float = 0.5
    settings: RelaySettings = field(default_factory=RelaySettings)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.fleet not in FLEETS:
            raise ConfigurationError(
                f"fleet = {self.fleet!r}: expected one of {', '.join(FLEETS)}."
            )
        for name in ("model_mb", "case_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigurationError(
                    f"{name} = {getattr(self, name)!r}: expected a number above 0."
                )

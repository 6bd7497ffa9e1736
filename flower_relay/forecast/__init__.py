"""What a run will take, before anybody trains: a small imagined one, played and scaled up."""

from __future__ import annotations

from .played import Course, play
from .question import Question
from .scale import Forecast, forecast

__all__ = ["Course", "Forecast", "Question", "forecast", "play"]

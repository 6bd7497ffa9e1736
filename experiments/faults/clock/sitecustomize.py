"""A clock that is wrong, in the processes of one SuperNode: Python runs this when it starts.

`experiments/faults/wire.py` puts this folder on the node's path. By how many seconds its clock
is ahead is in the file that RELAY_CLOCK names, read at every look at the clock.
"""

from __future__ import annotations

import datetime
import os
import time
from pathlib import Path
from typing import Any

_REAL, _true_time = datetime.datetime, time.time


def _time() -> float:
    try:
        return _true_time() + float(Path(os.environ["RELAY_CLOCK"]).read_text())
    except (KeyError, OSError, ValueError):
        return _true_time()


class _Kind(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _REAL)


class _Datetime(_REAL, metaclass=_Kind):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return cls.fromtimestamp(_time(), tz)


time.time = _time
datetime.datetime = _Datetime  # type: ignore[misc]

"""`flower-relay new`: a Flower app of the usual layout that trains by relay."""

from __future__ import annotations

from .project import FRAMEWORKS, write_project

__all__ = ["FRAMEWORKS", "write_project"]

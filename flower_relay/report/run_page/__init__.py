"""The page of a run, or of several side by side: live, or one file that keeps.

Its parts are modules and no files beside them: a Flower app's bundle carries Python only, and
a run's report is written where the app runs.
"""

from __future__ import annotations

from .page import live_page, saved_page, write_run_page

__all__ = ["live_page", "saved_page", "write_run_page"]

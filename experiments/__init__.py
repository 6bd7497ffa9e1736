"""What measures this project itself; README.md says what each experiment measures."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder: experiments are run from it."""

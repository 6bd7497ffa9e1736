"""The Flower App that measures inside a run; Flower takes this folder as an app of its own."""

from pathlib import Path

APP = Path(__file__).resolve().parent
"""The folder to hand to `flwr run`."""

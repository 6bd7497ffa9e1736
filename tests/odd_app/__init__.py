"""A Flower App with odd participants; Flower takes this folder as an app of its own."""

from pathlib import Path

APP = Path(__file__).resolve().parent
"""The folder to hand to `flwr run`."""

LISTS, CUT, ARCHIVE, UNKNOWN_TYPE = 1, 2, 3, 4
"""Partitions whose replies are odd where the run config has `what="odd"`."""

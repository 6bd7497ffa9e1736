"""Comparisons: what a run is held against, such as the true worth of a participant's data."""

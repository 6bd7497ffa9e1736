"""Data by name: two ship in packages, the rest comes from the network or from files."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flower_relay.errors import ConfigurationError

__all__ = ["DATASETS", "Dataset", "load_dataset"]

_TEST_SHARE, _TEST_SEED = 0.2, 2025
_WINDOW, _STEP = 100, 5
"""Samples in a window of the watch data, and how many are averaged into one."""

_HUB = {
    "mnist": ("ylecun/mnist", "image", "label", "MNIST"),
    "fashion-mnist": ("zalando-datasets/fashion_mnist", "image", "label", "FashionMNIST"),
    "cifar10": ("uoft-cs/cifar10", "img", "label", "CIFAR10"),
    "cifar100": ("uoft-cs/cifar100", "img", "fine_label", "CIFAR100"),
}
DATASETS = ("digits", "watch", *_HUB)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Cases and labels; `x` is (n, channels, height, width) of float32, scaled to 0 … 1."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    group: NDArray[np.int64] | None = None

    @property
    def num_classes(self) -> int:
        """Labels run from 0 to this, exclusive."""
        return int(max(self.y.max(), self.y_test.max())) + 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one case."""
        return self.x.shape[1:]


@functools.lru_cache(maxsize=2)
def load_dataset(name: str) -> Dataset:
    """Load a dataset by name, or from an `.npz` file or a folder of class folders.

    Raises
    ------
    ConfigurationError
        When there is no such data, or it cannot be had here.
    """
    if name == "digits":
        return _digits()
    if name == "watch":
        return _watch()
    if name in _HUB:
        return _from_hub(name)
    path = Path(name).expanduser()
    if path.suffix == ".npz" and path.is_file():
        return _from_npz(path)
    if path.is_dir():
        return _from_folder(path)
    raise ConfigurationError(
        f"data = {name!r}: expected one of {', '.join(DATASETS)}, the path of an .npz file "
        "(arrays x and y) or of a folder with one folder of images per class."
    )


def _digits() -> Dataset:
    """scikit-learn's digits, read past it: importing it takes ten times as long.

    On a fleet every message starts a process that has to.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise ConfigurationError(
            "data = 'digits' comes with scikit-learn, which is not installed here: install "
            "flower-relay[torch], or name other data."
        )
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(file, delimiter=",")
    return _split(table[:, :-1].reshape(-1, 1, 8, 8) / 16.0, table[:, -1], None)


def _watch() -> Dataset:
    """Seven shoulder exercises on smartwatches: ten people, both arms, a natural split in 20.

    Windows of two seconds of six inertial channels at 50 Hz, none overlapping another,
    averaged over tenths of a second and standardised; an arm of a person is a group (Burns et
    al., "Shoulder physiotherapy exercise recognition", 2018; shipped in seglearn, BSD).
    """
    found = _need("seglearn.datasets", "pip install seglearn pandas", "watch").load_watch()
    sides, people = np.unique(found["side"]), np.unique(found["subject"])
    x: list[NDArray[np.float64]] = []
    y: list[int] = []
    group: list[int] = []
    for series, label, side, person in zip(
        found["X"], found["y"], found["side"], found["subject"], strict=True
    ):
        count = len(series) // _WINDOW
        windows = series[: count * _WINDOW].reshape(count, _WINDOW // _STEP, _STEP, 6).mean(2)
        x.append(windows.transpose(0, 2, 1)[:, None])
        y += [int(label)] * count
        # All left arms come first, so that ten participants are the ten people.
        arm = np.searchsorted(sides, side) * len(people) + np.searchsorted(people, person)
        group += [int(arm)] * count
    joined = np.concatenate(x)
    scale = joined.std(axis=(0, 1, 3), keepdims=True)
    scaled = (joined - joined.mean(axis=(0, 1, 3), keepdims=True)) / scale
    return _split(scaled, y, np.array(group))


def _split(x: Any, y: Any, group: NDArray[np.int64] | None) -> Dataset:
    """Hold out a fifth of every class as the test set, the same in every process."""
    rng = np.random.default_rng(_TEST_SEED)
    x, y = np.asarray(x, np.float32), np.asarray(y, np.int64)
    held_out = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        of_class = rng.permutation(np.flatnonzero(y == label))
        held_out[of_class[: int(_TEST_SHARE * len(of_class))]] = True
    if not held_out.any():
        raise ConfigurationError(
            f"{len(y)} cases are too few to hold a fifth of each class out as a test set; "
            "in an .npz, give the arrays x_test and y_test."
        )
    return Dataset(
        x=x[~held_out],
        y=y[~held_out],
        x_test=x[held_out],
        y_test=y[held_out],
        group=None if group is None else group[~held_out],
    )


def _from_npz(path: Path) -> Dataset:
    try:
        # Opened here, as np.load leaves what it cannot read open.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as problem:
        raise ConfigurationError(f"data = {str(path)!r} cannot be read: {problem}") from problem
    _check_arrays(path, arrays)
    x, group = _images(arrays["x"]), arrays.get("group")
    if group is not None:  # names of hospitals or writers become numbers
        group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    if "x_test" in arrays and "y_test" in arrays:
        return Dataset(
            x=x,
            y=arrays["y"].astype(np.int64),
            x_test=_images(arrays["x_test"]),
            y_test=arrays["y_test"].astype(np.int64),
            group=group,
        )
    return _split(x, arrays["y"], group)


def _check_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Refuse what would only fail in the middle of training, or train on nonsense."""
    missing = {"x", "y"} - arrays.keys()
    if missing:
        raise ConfigurationError(
            f"data = {str(path)!r}: no array {' and '.join(sorted(missing))} in it; "
            f"it holds {', '.join(sorted(arrays)) or 'nothing'}."
        )
    for key, like in (("y", "x"), ("group", "x"), ("y_test", "x_test")):
        if key in arrays and like in arrays and len(arrays[key]) != len(arrays[like]):
            raise ConfigurationError(
                f"data = {str(path)!r}: {len(arrays[key])} of {key} for {len(arrays[like])} of "
                f"{like}; expected one each."
            )
    for key in {"y", "y_test"} & arrays.keys():
        values = arrays[key]
        if not np.issubdtype(values.dtype, np.integer) or values.min(initial=0) < 0:
            raise ConfigurationError(
                f"data = {str(path)!r}: {key} must hold whole numbers from 0, one per class; "
                f"it holds {values.dtype}, such as {values[:3].tolist()}."
            )


def _images(x: NDArray[Any]) -> NDArray[np.float32]:
    """Cases as (n, channels, height, width); bytes are scaled, vectors become 1 × 1 × d."""
    scaled = x.astype(np.float32) / (255.0 if x.dtype == np.uint8 else 1.0)
    if scaled.ndim == 2:
        return scaled[:, None, None, :]
    if scaled.ndim == 3:
        return scaled[:, None]
    return np.moveaxis(scaled, -1, 1) if scaled.shape[-1] in (1, 3) else scaled


def _from_folder(path: Path) -> Dataset:
    image_module = _need("PIL.Image", "pip install pillow", str(path))
    classes = sorted(folder for folder in path.iterdir() if folder.is_dir())
    pairs = sorted(
        (file, label)
        for label, folder in enumerate(classes)
        for file in folder.iterdir()
        if file.is_file() and not file.name.startswith(".")
    )
    if not pairs:
        raise ConfigurationError(
            f"data = {str(path)!r}: expected one folder of images per class, found none."
        )
    pictures = [_picture(image_module, file) for file, _ in pairs]
    shapes = {picture.shape for picture in pictures}
    if len(shapes) > 1:
        raise ConfigurationError(
            f"data = {str(path)!r}: images differ in size ({sorted(shapes)[:3]} …); "
            "resize them to one size first."
        )
    return _split(_images(np.stack(pictures)), [label for _, label in pairs], None)


def _picture(image_module: Any, file: Path) -> NDArray[np.uint8]:
    try:
        with image_module.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as problem:
        raise ConfigurationError(f"data: {str(file)!r} is not an image: {problem}") from problem


def _from_hub(name: str) -> Dataset:
    hub_name, image, label, torchvision_name = _HUB[name]
    try:
        datasets = importlib.import_module("datasets")
        parts = datasets.load_dataset(hub_name)
    except Exception as hub_problem:  # no package, no network, no cache: try files
        return _from_torchvision(name, torchvision_name, hub_problem)
    train, test = (
        (_images(np.stack([np.asarray(i) for i in parts[s][image]])), np.array(parts[s][label]))
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
        x=_images(np.asarray(train.data)),
        y=np.asarray(train.targets, np.int64),
        x_test=_images(np.asarray(test.data)),
        y_test=np.asarray(test.targets, np.int64),
    )


def _need(module: str, cure: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise ConfigurationError(f"data = {name!r} needs {module}: {cure}.") from problem

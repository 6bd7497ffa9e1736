"""A user's own data: an `.npz` file, a folder of class folders, or a folder of idx files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.worlds.dataset import Dataset, as_images, split_off_tests
from clients.worlds.images import from_idx_folder, holds_idx
from clients.worlds.packages import needed
from flower_relay.errors import ConfigurationError

__all__ = ["from_folder", "from_npz"]


def from_npz(path: Path) -> Dataset:
    """Read arrays x and y, and where they are there group, x_test and y_test.

    Raises
    ------
    ConfigurationError
        When it cannot be read, or an array is missing or of the wrong kind or length.
    """
    try:
        # Opened here, as np.load leaves what it cannot read open.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as problem:
        raise ConfigurationError(f"data = {str(path)!r} cannot be read: {problem}") from problem
    _check_arrays(path, arrays)
    x, group = as_images(arrays["x"]), arrays.get("group")
    if group is not None:  # names of hospitals or writers become numbers
        group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    if "x_test" in arrays and "y_test" in arrays:
        return Dataset(
            x=x,
            y=arrays["y"].astype(np.int64),
            x_test=as_images(arrays["x_test"]),
            y_test=arrays["y_test"].astype(np.int64),
            group=group,
        )
    return split_off_tests(x, arrays["y"], group)


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


def from_folder(path: Path) -> Dataset:
    """Read a folder of idx files, or of one folder of images per class.

    Raises
    ------
    ConfigurationError
        When it holds neither, or pictures of several sizes.
    """
    if holds_idx(path):
        return from_idx_folder(path)
    image_module = needed("PIL.Image", "pip install pillow", str(path))
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
    return split_off_tests(as_images(np.stack(pictures)), [label for _, label in pairs], None)


def _picture(image_module: Any, file: Path) -> NDArray[np.uint8]:
    try:
        with image_module.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as problem:
        raise ConfigurationError(f"data: {str(file)!r} is not an image: {problem}") from problem

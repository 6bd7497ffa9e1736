"""Where results are to go, checked before the work for them begins."""

from __future__ import annotations

import tempfile
from pathlib import Path

from .errors import ConfigurationError

__all__ = ["check_file", "check_folder"]


def check_folder(folder: Path, name: str = "out") -> None:
    """Make a folder for results, unless it is there, and see that files can be put into it.

    Parameters
    ----------
    name : str
        What the user calls it: the option or key that named it.

    Raises
    ------
    ConfigurationError
        Saying which part of the path is in the way, or what the system answers.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as problem:
        raise _refusal(name, folder, "a folder to write into", problem) from None


def check_file(path: Path, name: str = "out") -> None:
    """See that a file can be written there; its folder is made, and nothing else.

    Raises
    ------
    ConfigurationError
        Saying which part of the path is in the way, or what the system answers.
    """
    check_folder(path.parent, name)
    if path.is_dir():
        raise _refusal(name, path, "a file to write", IsADirectoryError())


def _refusal(name: str, path: Path, expected: str, problem: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"{name} = {str(path)!r}: expected {expected}, found that {_found(path, problem)}. "
        "Nothing was begun; name another place, or clear this one."
    )


def _found(path: Path, problem: Exception) -> str:
    if isinstance(problem, IsADirectoryError):
        return "a folder is there"
    try:
        for part in (path, *path.parents):
            if part.exists() and not part.is_dir():
                return f"{str(part)!r} is a file"
    except (OSError, ValueError):
        pass  # a path that cannot even be asked about: the system's words say why
    words = problem.strerror if isinstance(problem, OSError) else str(problem)
    return f"it cannot be written to ({words})"

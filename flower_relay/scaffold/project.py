"""A new project from the templates: checked, rendered, written whole or not at all."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import keyword
import re
import shutil
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from .. import __version__
from ..bundle import app_root
from ..errors import ConfigurationError

__all__ = ["FRAMEWORKS", "Framework", "requirement", "write_project"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,31}")
"""What `flwr build` takes for an app's name and for its folder's."""

_TORCH, _DIGITS = "torch>=2.2", "scikit-learn>=1.4"


@dataclass(frozen=True, kw_only=True)
class Framework:
    """What differs from one template to the other, beside `task.py`.

    Attributes
    ----------
    dependencies : tuple of str
        Lines of the project's `pyproject.toml`.
    model_place : str
        Where in `task.py` the model is, for the README.
    rate, epochs : float, int
        That suit the model.
    """

    title: str
    dependencies: tuple[str, ...]
    model_place: str
    rate: float
    epochs: int


FRAMEWORKS = {
    "pytorch": Framework(
        title="A PyTorch network for handwritten digits",
        dependencies=(_TORCH, _DIGITS),
        model_place="`Net`",
        rate=0.1,
        epochs=1,
    ),
    "sklearn": Framework(
        title="A scikit-learn classifier for handwritten digits",
        dependencies=(_DIGITS,),
        model_place="`load_model`",
        rate=0.03,
        epochs=1,
    ),
    "huggingface": Framework(
        title="A Hugging Face transformer for handwritten digits",
        dependencies=(_TORCH, "transformers>=4.45", _DIGITS),
        model_place="`make_model`",
        rate=0.002,
        epochs=3,
    ),
}
"""The templates that there are."""


def write_project(folder: Path, framework: str = "pytorch") -> Path:
    """Write a project that `flwr run` runs as it is; its folder.

    Parameters
    ----------
    folder : pathlib.Path
        Where to; its name is the project's.
    framework : str
        A name of `FRAMEWORKS`.

    Raises
    ------
    ConfigurationError
        When the name cannot be an app's, or there is something already; nothing is written.
    """
    folder = folder.absolute()
    package = _checked(folder)
    if framework not in FRAMEWORKS:
        raise ConfigurationError(
            f"framework = {framework!r}: expected one of {', '.join(FRAMEWORKS)}."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as scratch:
        made = Path(scratch) / folder.name
        (made / package).mkdir(parents=True)
        for name, text in _rendered(folder.name, package, framework).items():
            (made / name).write_text(text, encoding="utf-8")
        shutil.copy(app_root() / "LICENSE", made / "LICENSE")
        made.rename(folder)
    return folder


def _checked(folder: Path) -> str:
    """The package's name, for a folder that can be an app's."""
    name = folder.name
    if _NAME.fullmatch(name) is None:
        raise ConfigurationError(
            f"NAME = {name!r}: expected a letter, then letters, digits and hyphens, 32 together "
            "at most, as Flower wants an app's name. Nothing was written."
        )
    package = name.lower().replace("-", "_")
    if keyword.iskeyword(package) or importlib.util.find_spec(package) is not None:
        raise ConfigurationError(
            f"NAME = {name!r}: expected a name of its own, found a Python module or word "
            f"{package!r} already. Nothing was written; take another, such as my-{name}."
        )
    if folder.exists():
        raise ConfigurationError(
            f"NAME = {name!r}: expected no such folder, found {folder}. Nothing was written; "
            "take another name, or move it away."
        )
    return package


def _rendered(name: str, package: str, framework: str) -> dict[str, str]:
    """Every file of the project by its path."""
    environment = Environment(
        loader=PackageLoader("flower_relay.scaffold", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    kind = FRAMEWORKS[framework]
    terms: dict[str, Any] = {
        "name": name,
        "package": package,
        "title": kind.title,
        "dependencies": kind.dependencies,
        "model_place": kind.model_place,
        "rate": kind.rate,
        "epochs": kind.epochs,
        "requirement": requirement(),
        **_flower(),
    }
    files = {
        "pyproject.toml": "common/pyproject.toml",
        "README.md": "common/README.md",
        f"{package}/__init__.py": "common/__init__.py",
        f"{package}/server_app.py": "common/server_app.py",
        f"{package}/client_app.py": "common/client_app.py",
        f"{package}/task.py": f"{framework}/task.py",
    }
    return {
        path: environment.get_template(f"{template}.jinja").render(terms)
        for path, template in files.items()
    }


def _flower() -> dict[str, str]:
    """The Flower versions that this library is made for."""
    project = tomllib.loads((app_root() / "pyproject.toml").read_text(encoding="utf-8"))
    [lowest] = [
        line.removeprefix("flwr>=")
        for line in project["project"]["dependencies"]
        if line.startswith("flwr>=")
    ]
    return {
        "flwr_lowest": lowest,
        "flwr_target": project["tool"]["flwr"]["app"]["flwr-version-target"],
    }


def requirement() -> str:
    """The dependency line that brings this library to where an app runs.

    Flower installs an app's dependencies anew for each run: what was installed from a file or
    a checkout is named by that, what came from an index by its version.
    """
    try:
        found = importlib.metadata.distribution("flower-relay").read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found is None:
        return f"flower-relay>={__version__}"
    return f"flower-relay @ {json.loads(found)['url']}"

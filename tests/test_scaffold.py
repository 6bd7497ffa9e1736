"""`flower-relay new`: what it writes runs at once, and what it cannot write it refuses."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict
from packaging.requirements import Requirement

from flower_relay import InMemoryGrid
from flower_relay.errors import ConfigurationError
from flower_relay.ledger import read_sealed
from flower_relay.ledger.verify import verify_run
from flower_relay.scaffold import FRAMEWORKS, write_project
from flower_relay.transport.superlink import PrivateSuperLink, run_app

HOPS = 12


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to write projects to and import them from."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("made_")]:
        del sys.modules[name]


def config_of(project: Path) -> dict[str, object]:
    text = (project / "pyproject.toml").read_text()
    return dict(tomllib.loads(text)["tool"]["flwr"]["app"]["config"])


@pytest.mark.parametrize("nodes", [2, 6])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_project_trains_as_it_is(
    framework: str, nodes: int, path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if framework == "huggingface":
        pytest.importorskip("transformers", exc_type=ImportError)
    project = write_project(path / f"made-{framework}-{nodes}", framework)
    package = f"made_{framework}_{nodes}"
    monkeypatch.syspath_prepend(str(project))
    config = config_of(project) | {"hops": HOPS, "local-epochs": 1, "runs-dir": str(path / "runs")}
    server, client = (
        importlib.import_module(f"{package}.{name}").app for name in ("server_app", "client_app")
    )
    grid = InMemoryGrid(client, nodes, run_config=config)
    server(grid, Context(1, 0, {}, RecordDict(), config))
    [run] = [found for found in (path / "runs").iterdir() if found.is_dir()]
    assert verify_run(read_sealed(str(run)), models=run / "models").ok
    said = capsys.readouterr().out
    for name in ("report.html", "champion.safetensors"):
        assert (run / name).stat().st_size > 1000
        assert str(run / name) in said


def test_a_project_is_a_flower_app_that_can_be_built(tmp_path: Path) -> None:
    from flwr.common.config import validate_config
    from flwr.supercore.fab_format_version import normalize_and_validate_fab_format

    project = write_project(tmp_path / "made-app")
    content = tomllib.loads((project / "pyproject.toml").read_text())
    valid, errors, _ = validate_config(content, project_dir=project)
    assert valid, errors
    assert normalize_and_validate_fab_format(content).fab_format_version == 1
    for line in content["project"]["dependencies"]:
        Requirement(line)
    assert "flower-relay" in {Requirement(line).name for line in content["project"]["dependencies"]}
    assert len((project / "README.md").read_text().splitlines()) <= 26


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my_app", "letters, digits and hyphens"),
        ("1st", "expected a letter"),
        ("a" * 33, "32 together"),
        ("class", "Python module or word"),
        ("torch", "Python module or word 'torch'"),
        ("flower-relay", "Python module or word 'flower_relay'"),
        ("there", "expected no such folder"),
    ],
)
def test_a_name_that_cannot_be_is_refused_and_nothing_is_written(
    name: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigurationError, match=said):
        write_project(tmp_path / name)
    assert [found.name for found in tmp_path.iterdir()] == ["there"]


def test_an_unknown_framework_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="one of pytorch, sklearn, huggingface"):
        write_project(tmp_path / "app", "jax")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.flower
def test_flwr_run_runs_a_new_project(tmp_path: Path) -> None:
    project = write_project(tmp_path / "made-by-flower")
    runs = tmp_path / "runs"
    with PrivateSuperLink(Path(__file__).parents[1]) as link:
        problem = run_app(link, 4, f'hops=8 runs-dir="{runs}"', root=project)
        assert problem is None, re.sub(r"\s+", " ", link.log.read_text()[-3000:])
    [run] = [found for found in runs.iterdir() if found.is_dir()]
    assert (run / "report.html").exists() and (run / "champion.safetensors").exists()

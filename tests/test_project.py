"""The project keeps its word: names, defaults and documentation agree."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

import flower_relay
import flower_relay.cli
from flower_relay.errors import ConfigurationError
from flower_relay.settings import RelaySettings
from strategies.lineup import STRATEGIES
from strategies.settings import RELAY_KEYS, STRATEGY_NAMES, parse

ROOT = Path(__file__).parents[1]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
README = (ROOT / "README.md").read_text()


def test_everything_public_is_there_and_nothing_else_is_promised() -> None:
    assert sorted(flower_relay.__all__) == flower_relay.__all__
    for name in flower_relay.__all__:
        assert getattr(flower_relay, name).__doc__, name


def test_the_run_configs_relay_defaults_are_the_librarys() -> None:
    defaults = RelaySettings()
    for key in RELAY_KEYS:
        assert CONFIG[key] == getattr(defaults, key.replace("-", "_")), key


def test_every_run_config_key_is_documented_in_one_table() -> None:
    page = (ROOT / "docs" / "reference" / "run-config.md").read_text()
    table = re.findall(r"^\| `([a-z-]+)` \| `([^`]*)` \|", page, flags=re.MULTILINE)
    assert {key: default for key, default in table} == {
        key: str(value).lower()
        if isinstance(value, bool)
        else f'"{value}"'
        if isinstance(value, str)
        else str(value)
        for key, value in CONFIG.items()
    }


def test_the_readme_shows_the_commands_that_there_are() -> None:
    makefile = (ROOT / "Makefile").read_text()
    shown = re.findall(r"^make ([a-z]+)", README, flags=re.MULTILINE)
    assert {"demo", "test"} <= set(shown)
    for target in shown:
        assert f"\n{target}:" in makefile, target


def test_every_promise_of_the_security_page_names_a_test_that_there_is() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    promises = re.findall(r"^\| ([A-Z].*?) \| (.*) \|$", page.partition("## Promises")[2], re.M)
    assert len(promises) > 15
    for promise, tests in promises:
        assert "`tests/" in tests or tests == "the same", promise
    named = re.findall(r"`(tests/\w+\.py)::(\w+)`", page)
    assert len(named) > 20
    for file, name in named:
        assert f"\ndef {name}(" in (ROOT / file).read_text(), f"{file}::{name}"


def commands_shown() -> list[str]:
    """Every flower-relay command in the documentation, continued lines joined."""
    written = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "reference"]
    paths = [*sorted(written), ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"]
    texts = [README, *(path.read_text() for path in paths)]
    lines = [line.split("#")[0] for text in texts for line in text.splitlines()]
    names = "|".join(typer.main.get_command(flower_relay.cli.app).commands)
    found = [re.findall(rf"flower-relay ((?:{names}) [^`]*)", line) for line in lines]
    return [command.strip() for commands in found for command in commands]


@pytest.mark.parametrize("shown", commands_shown())
def test_every_command_shown_exists_with_its_options(shown: str) -> None:
    command = typer.main.get_command(flower_relay.cli.app)
    for word in shlex.split(shown.replace('"', "")):
        if word.startswith("--"):
            options = {
                n for option in command.params for n in (*option.opts, *option.secondary_opts)
            }
            assert word in options | {"--help"}, shown
        elif isinstance(command, typer.core.TyperGroup):
            assert word in command.commands, shown
            command = command.commands[word]


@pytest.mark.parametrize(
    "name",
    [
        "compare run", "compare tables", "compare tune", "economy replay", "economy run",
        "economy study", "economy sweep", "demo", "new", "watch", "report", "plan",
    ],
)  # fmt: skip
def test_every_command_is_documented(name: str) -> None:
    assert any(shown.startswith(name) for shown in commands_shown())


def test_every_strategy_can_be_built(tmp_path: Path) -> None:
    from strategies.lineup import build_strategy

    assert tuple(STRATEGIES) == STRATEGY_NAMES
    for name in STRATEGY_NAMES:
        build_strategy(parse(CONFIG | {"strategy": name}), [], tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strategy": "fedavgg"}, "relay, relay-untested, relay-fanout, cyclic, fedavg"),
        ({"model": "vgg"}, "mlp, cnn, resnet18, resnet18-gn"),
        ({"data": "nowhere"}, "digits, watch, mnist"),
        ({"partition": "dirichlet:0"}, "iid, dirichlet:ALPHA"),
        ({"hostile": "grumpy"}, "label-flip, sign-flip"),
        ({"topology": "ring"}, "one of chain, fan-out"),
        ({"lanes": 0}, "lanes = 0: expected a whole number, at least 1"),
        ({"tolerance": 2.0}, "tolerance = 2.0: expected a number from 0.001 to 1.0"),
        ({"tolerance": 0.0}, "tolerance = 0.0: expected a number from 0.001 to 1.0"),
        ({"rounds": 0}, "rounds = 0: expected a whole number, at least 1"),
        ({"local-dp-delta": 0.0}, "local-dp-delta = 0.0: expected a number between 0 and 1"),
        ({"local-dp-epsilon": 1.0, "model": "resnet18"}, "take resnet18-gn"),
        ({"learning-rate": 0.0}, "learning-rate = 0.0: expected a number above 0"),
    ],
)
def test_impossible_values_are_refused_with_what_is_possible(
    change: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        parse(CONFIG | change)


def test_an_unknown_setting_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown setting lames; there are: .*lanes"):
        flower_relay.RelayStrategy(lames=2)

"""A run's folder from anybody: a difference with its place, in bounded time, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from flower_relay.errors import LedgerError, RelayError
from flower_relay.ledger import OperatorKey
from flower_relay.legible import legible
from tests.false_ledgers import command, place_of, verdict_on
from tests.mutants import faults_of_commands, faults_of_verify, mutants

EVIL = "p\x1b]0;a title\x1b\\\x1b[1A\x1b[2K\x1b[32m✓ everything holds\x1b[0m\n\u202e"


@pytest.fixture
def genesis(true: tuple[Path, OperatorKey, list[str]]) -> Callable[..., str]:
    """The true genesis block with other fields, or other settings."""

    def made(settings: dict[str, Any] | None = None, **fields: Any) -> str:
        body = json.loads(true[2][0])
        return spelled({**body, **fields, "settings": {**body["settings"], **(settings or {})}})

    return made


def spelled(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


# Whatever a block holds.


def test_no_change_of_a_ledger_raises_and_nothing_of_it_reaches_the_terminal(
    true: tuple[Path, OperatorKey, list[str]], tmp_path: Path
) -> None:
    folder, key, bodies = true
    faults = []
    for number, (_, blocks) in enumerate(mutants(bodies, key, seed=11, number=150)):
        faults += [fault for fault in faults_of_verify(blocks, folder / "models")[1:] if fault]
        if number % 50 == 0:
            faults += faults_of_commands(blocks, tmp_path)
    assert faults == []


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"lanes": 10**9}, "genesis.settings"),
        ({"max_leg": 10**30}, "genesis"),
        ({"seed": 10**400}, "genesis"),
        ({"deposit_unit": 10**400}, "genesis"),
        ({"deposit_unit": 1e308}, "genesis.settings"),
        ({"deposit_unit": 1e300}, "genesis.settings"),
        ({"lanes": [1]}, "genesis"),
        ({"self": 1}, "genesis.settings"),
        ({"utility_key": "\ud800"}, "genesis"),
    ],
    ids=str,
)
def test_a_setting_that_no_run_has_is_named(
    settings: dict[str, Any], field: str, make: Callable[..., Path], genesis: Callable[..., str]
) -> None:
    folder = make([genesis(settings)])
    block, found, _ = place_of(folder)
    assert block == 0
    assert found in (field, "genesis", "genesis.settings", "seal")
    for name in ("show", "balance", "lineage", "export"):
        options = ("--out", folder / "out") if name == "export" else ()
        assert isinstance(command(name, folder, *options).exception, RelayError)


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "1",
        "null",
        '"text"',
        "[" * 100_000 + "]" * 100_000,
        "[" * 900 + "]" * 900,
        '{"bound":' + "1" * 10**6 + "}",
        '{"bound":NaN}',
        '{"a":1,"a":2}',
        '"' + "a" * 2**25 + '"',
        "",
    ],
    ids=lambda text: text[:12],
)
def test_a_body_that_is_no_block_is_named(
    text: str, true: tuple[Path, OperatorKey, list[str]], make: Callable[..., Path]
) -> None:
    folder = make([true[2][0], text])
    assert place_of(folder)[0] == 1
    for arguments in (("show", folder), ("balance", folder)):
        assert isinstance(command(*arguments).exception, RelayError)
    assert command("show", folder, "--block", 1).exception is None


def test_forty_thousand_founders_are_read_at_once(
    make: Callable[..., Path], genesis: Callable[..., str]
) -> None:
    names = [f"p{number}" for number in range(40_000)]
    folder = make([genesis(participants=names, utilities=[0.5] * 40_000)])
    assert verdict_on(folder).blocks == 1
    names[-1] = "p0"
    (folder / "ledger.db").unlink()
    (folder / "models").rmdir()
    folder = make([genesis(participants=names, utilities=[0.5] * 40_000)])
    assert place_of(folder)[:2] == (0, "genesis.participants[39999]")


@pytest.mark.parametrize("name", [EVIL, "[bold red]x[/]", "[/nothing]", "n" * 10**5])
def test_a_name_is_shown_as_text_that_does_nothing(
    name: str,
    make: Callable[..., Path],
    genesis: Callable[..., str],
    true: tuple[Path, OperatorKey, list[str]],
) -> None:
    founders = [name, *json.loads(true[2][0])["participants"][1:]]
    folder = make([genesis(participants=founders), *true[2][1:]])
    for arguments in (
        ("verify", folder), ("show", folder, "--block", 0), ("balance", folder),
        ("balance", folder, "nobody"), ("lineage", folder),
    ):  # fmt: skip
        result = command(*arguments)
        assert result.exception is None or isinstance(result.exception, RelayError | SystemExit)
        assert result.output.replace("\n", "").isprintable()
    # As many characters as fit, with those that would do something spelled out.
    beginning = legible(name, 10)[:10].rstrip(" …")
    assert beginning in command("balance", folder).output


@pytest.mark.parametrize(
    "name",
    [
        "<script>",
        '" onload="x',
        "]]>&x;<!--",
        "$\\frac{$",
        "$x^2$",
        "a\x01\x0b",
        "n" * 10**5,
        "\n" * 10**4,
    ],
)
def test_a_picture_takes_any_name(
    name: str,
    make: Callable[..., Path],
    genesis: Callable[..., str],
    true: tuple[Path, OperatorKey, list[str]],
    tmp_path: Path,
) -> None:
    founders = [f"{name}{n}" for n in range(len(json.loads(true[2][0])["participants"]))]
    folder = make([genesis(participants=founders), *true[2][1:]])
    result = command("lineage", folder, "--svg", tmp_path / "x.svg")
    assert result.exception is None, result.output
    drawn = (tmp_path / "x.svg").read_text()
    assert "<script" not in drawn
    assert len(drawn) < 10**5
    parts = ElementTree.fromstring(drawn).iter()
    assert not any(name.startswith("on") for part in parts for name in part.attrib)


def test_what_descends_from_itself_is_no_lineage(
    true: tuple[Path, OperatorKey, list[str]], make: Callable[..., Path]
) -> None:
    """Settled as accepted on the ledger's word: a line that leads round in a circle."""
    bodies = [json.loads(text) for text in true[2]]
    first, second = [number for number, b in enumerate(bodies) if b["kind"] == "settlement"][:2]
    model = bodies[0]["model"]
    hop = {"trainer": 0, "base": model, "model": "x", "outcome": "accepted", "vote": None,
           "gain": None, "step": None, "score": None, "audit_score": None}  # fmt: skip
    bodies[first]["lanes"][0]["hops"] = [hop]
    bodies[second]["lanes"][0]["hops"] = [{**hop, "base": "x", "model": model}]
    result = command("lineage", make([spelled(body) for body in bodies]))
    assert isinstance(result.exception, LedgerError)
    assert f"block {second} cannot follow" in str(result.exception)


def test_text_is_cut_and_spelled_out_where_it_would_do_something() -> None:
    assert legible("ä and 語") == "ä and 語"
    assert legible("a\nb\x1b[2K\u202e\ud800") == "a\\nb\\x1b[2K\\u202e\\ud800"
    assert legible("abcdef", 3) == "abc …"

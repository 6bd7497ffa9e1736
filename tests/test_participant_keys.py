"""A participant is its key: kept in a file of its own, or as long as its node lives."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from flwr.app import (
    Context,
)

from flower_relay.errors import ConfigurationError, KeyFileError
from flower_relay.node.keys import load_or_create
from flower_relay.node.mod import make_relay_mod, relay_mod
from flower_relay.wire.statements import public_hex
from tests.nodes import TRAIN, a_node, ask, said, tiny_app, weights


def signer(node: Context, mod: Any = relay_mod) -> str:
    public = said(ask(tiny_app(mod), node, "train", TRAIN, weights(1)))["public-key"]
    assert isinstance(public, str)
    return public


def test_a_node_with_a_key_file_is_the_same_participant_in_every_run(tmp_path: Path) -> None:
    path = tmp_path / "new" / "my.key"
    first = signer(a_node(relay_key=str(path)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.glob("*.key")] == ["my.key"]
    assert signer(a_node(relay_key=str(path))) == first == public_hex(load_or_create(path))


def test_simulated_nodes_keep_a_key_for_each_partition(tmp_path: Path) -> None:
    run = {"relay-keys-dir": str(tmp_path)}
    keys = [signer(a_node(run, partition_id=n)) for n in (0, 1, 0)]
    assert keys[0] == keys[2] != keys[1]
    assert sorted(file.name for file in tmp_path.glob("*.key")) == [
        "participant-0.key",
        "participant-1.key",
    ]


def test_the_nodes_own_key_file_goes_before_the_apps_and_the_runs(tmp_path: Path) -> None:
    mine, apps, runs = tmp_path / "mine", tmp_path / "apps", {"relay-keys-dir": str(tmp_path)}
    mod = make_relay_mod(own_key=apps)
    own = signer(a_node(runs, partition_id=0, relay_key=str(mine)), mod)
    assert own == public_hex(load_or_create(mine)) and not apps.exists()
    assert signer(a_node(runs, partition_id=0), mod) == public_hex(load_or_create(apps))


@pytest.mark.parametrize("run", [{}, {"relay-keys-dir": ""}])
def test_without_a_file_a_key_lives_as_long_as_the_node(run: dict[str, Any]) -> None:
    node = a_node(run, partition_id=0)
    assert signer(node) == signer(node) != signer(a_node(run, partition_id=0))


def test_where_lasting_keys_are_asked_for_a_node_without_a_file_does_not_sign(
    tmp_path: Path,
) -> None:
    mod = make_relay_mod(lasting_keys_only=True)
    node = a_node(partition_id=0)
    reply = ask(tiny_app(mod), node, "train", TRAIN, weights(1))
    assert set(reply.content["relay"]) == {"holds"}
    assert set(node.state) == {"relay-models"}
    assert signer(a_node(relay_key=str(tmp_path / "my.key")), mod)


def test_two_processes_that_make_a_key_at_once_get_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "my.key"
    winner = public_hex(load_or_create(path))
    monkeypatch.setattr(Path, "exists", lambda self: False)  # looked before the other wrote
    assert public_hex(load_or_create(path)) == winner
    assert [file.name for file in tmp_path.iterdir()] == ["my.key"]


@pytest.mark.parametrize("held", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key_is_refused_and_left_alone(tmp_path: Path, held: bytes) -> None:
    path = tmp_path / "my.key"
    path.write_bytes(held)
    with pytest.raises(KeyFileError, match="should hold a participant's key"):
        signer(a_node(relay_key=str(path)))
    assert path.read_bytes() == held


def test_a_key_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KeyFileError, match="can neither be read nor made"):
        signer(a_node(relay_key=str(tmp_path / "file" / "my.key")))


def test_who_lets_others_read_its_key_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "my.key"
    load_or_create(path)
    assert not caplog.text
    path.chmod(0o644)
    for _ in range(2):
        load_or_create(path)
    assert caplog.text.count("can be read by other users") == 1
    assert f"chmod 600 {path}" in caplog.text


@pytest.mark.parametrize("number", ["one", "", 1.5])
def test_a_partition_that_is_no_number_is_named(number: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"partition-id = .* expected a whole number"):
        signer(a_node({"relay-keys-dir": str(tmp_path)}, partition_id=number))

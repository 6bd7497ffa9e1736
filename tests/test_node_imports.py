"""What a ClientApp's process loads: on a fleet one is started for every message. It may be on
Windows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from torch import nn
from torch.nn import functional

import flower_relay
from clients.training import train_locally
from flower_relay.cli import app
from flower_relay.commands import COMMANDS

_SERVERS = (
    "flower_relay.federation flower_relay.mechanism.state flower_relay.mechanism.apply "
    "flower_relay.ledger fsspec matplotlib pyarrow jinja2 sklearn torch"
)


@pytest.mark.parametrize("module", ["flower_relay.mods", "clients.client_app"])
def test_a_node_loads_nothing_that_only_the_server_needs(module: str) -> None:
    code = f"import sys, {module}; print([m for m in {_SERVERS.split()} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


def test_the_list_of_commands_is_shown_without_loading_any_of_them() -> None:
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "flower_relay.cli", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = {line.rpartition("|")[2].strip() for line in loaded.stderr.splitlines()}
    assert "flower_relay.commands" in names
    assert not names & {*_SERVERS.split(), "flwr", "numpy", "sqlalchemy", "cryptography"}
    assert all(name in loaded.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_of_itself_what_the_list_says(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.name == name and command.help.split("\n\n")[0] == COMMANDS[name][1]


def test_training_does_not_load_pytorchs_compiler() -> None:
    code = (
        "import sys, torch; from clients.training import train_locally;"
        "net = torch.nn.Linear(2, 2);"
        "x, y = torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64);"
        "train_locally(net, x, y, lr=0.1, epochs=1, batch_size=2, generator=torch.Generator());"
        "print([m for m in ('torch._dynamo', 'sympy') if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"


def test_training_is_pytorchs_sgd_bit_for_bit() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    x, y = torch.randn(12, 5), torch.randint(3, (12,))
    train_locally(
        ours, x, y, lr=0.3, epochs=2, batch_size=4, generator=torch.Generator().manual_seed(1)
    )
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        for batch in torch.split(torch.randperm(12, generator=generator), 4):
            optimizer.zero_grad()
            torch.autograd.backward(functional.cross_entropy(theirs(x[batch]), y[batch]))
            optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_every_name_of_the_package_is_there_and_no_other() -> None:
    assert all(hasattr(flower_relay, name) for name in flower_relay.__all__)
    assert set(flower_relay.__all__) <= set(dir(flower_relay))
    with pytest.raises(AttributeError, match="no attribute 'Relay'"):
        flower_relay.Relay  # noqa: B018


WINDOWS = """
import os, sys
sys.modules["fcntl"] = None  # there is none
open_file, rename = os.open, os.rename

def opened(path, flags, *rest, **more):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return open_file(path, flags, *rest, **more)

def renamed(one, other, **more):
    if os.path.exists(other):
        raise FileExistsError(17, "Cannot create a file that exists already", str(other))
    return rename(one, other, **more)

os.open, os.rename = opened, renamed
if "unlinked" in sys.argv:
    def link(*names, **more):
        raise OSError(1, "Incorrect function")
    os.link = link
"""
"""What Python does differently there, as far as files go."""


@pytest.mark.parametrize("links", ["linked", "unlinked"])
def test_a_node_on_windows_makes_its_key_and_keeps_models(links: str, tmp_path: Path) -> None:
    code = WINDOWS + (
        "from tests.test_mods import *\n"
        "folder = sys.argv[1]\n"
        "where = dict(relay_key=folder + '/keys/my.key', relay_cache_dir=folder + '/cache/a')\n"
        "node = a_node(**where)\n"
        "for number, value in enumerate((1, 2, 2), start=3):\n"
        "    asked = CHAIN.told(number)\n"
        "    reply = said(ask(tiny_app(), node, 'train', asked, weights(value)))\n"
        "    print(reply['public-key'], reply['holds'].count(',') + 1)\n"
        "from flower_relay.files.durable import write_whole\n"
        "from pathlib import Path\n"
        "[write_whole(Path(folder, 'file'), text) for text in (b'one', b'other')]\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), links],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    keys, held = zip(*(line.split() for line in found.stdout.splitlines()), strict=True)
    assert len(set(keys)) == 1 and held == ("1", "2", "2")
    assert (tmp_path / "file").read_bytes() == b"other"
    names = sorted(path.name for path in (tmp_path / "keys").iterdir())
    assert names == ["my.key", "my.memory", "my.result"]

"""A secured fleet: who is let in, what becomes of keys, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from tests.test_end_to_end import left_behind

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from credentials import make_certificates, make_node_key  # noqa: E402
from fleet import Fleet, verify  # noqa: E402

from flower_relay.transport.superlink import run_app  # noqa: E402


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_certificate_is_for_the_hosts_named_and_private_keys_for_their_owner(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "superlink"
    make_certificates(folder, ["superlink.example", "10.0.0.7"], days=30)
    make_node_key(tmp_path / "node")
    server = x509.load_pem_x509_certificate((folder / "server.crt").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["superlink.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]
    trusting = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    assert len(trusting.get_ca_certs()) == 1
    authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    server.verify_directly_issued_by(authority)
    assert {mode(folder / "server.key"), mode(tmp_path / "node" / "auth.key")} == {0o600}
    key = load_ssh_private_key((tmp_path / "node" / "auth.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp384r1"
    assert (tmp_path / "node" / "auth.pub").read_bytes().startswith(b"ecdsa-sha2-nistp384 ")


def test_the_command_writes_over_nothing(tmp_path: Path) -> None:
    command = [
        sys.executable, "scripts/credentials.py", "--out", str(tmp_path / "secrets"),
        "--host", "superlink.example", "--nodes", "2",
    ]  # fmt: skip
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "2 times node-N/" in made.stdout
    files = sorted(str(path.relative_to(tmp_path / "secrets")) for path in tmp_path.rglob("*.*"))
    assert files == [
        "node-0/auth.key", "node-0/auth.pub", "node-0/ca.crt",
        "node-1/auth.key", "node-1/auth.pub", "node-1/ca.crt",
        "superlink/ca.crt", "superlink/server.crt", "superlink/server.key",
    ]  # fmt: skip
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "is there already" in again.stderr


@pytest.mark.flower
@pytest.mark.slow
def test_strangers_are_refused_the_run_verifies_and_no_secret_or_process_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWER_RELAY_TEST", str(tmp_path))
    fleet = Fleet(3)
    with fleet:
        stranger = tmp_path / "stranger"
        make_node_key(stranger)
        refused = fleet.start_node(7, stranger / "auth.key")
        assert refused.wait(60) == 1
        said = (fleet.folder / "node-7" / "supernode.log").read_text()
        assert "Failed to activate SuperNode" in said
        config = f'runs-dir="{tmp_path}" run-name="mine" budget=3 max-leg=1 partition="iid"'
        assert run_app(fleet, None, f"{config} min-available-nodes=3") is None
        assert fleet.online() == 3
        secrets = [
            path.read_bytes().splitlines()[1]
            for path in [*fleet.folder.rglob("*.key")]
            if path.is_file()
        ]
        assert len(secrets) >= 7  # server, three SuperNodes and the three participants
        fleet.keep_logs(tmp_path / "logs")
    assert verify(tmp_path / "mine")
    result = json.loads((tmp_path / "mine" / "result.json").read_text())
    assert len(result["hops"]) == 3
    assert {hop["outcome"] for hop in result["hops"]} <= {"accepted", "rejected"}
    kept = [path for part in ("logs", "mine") for path in (tmp_path / part).rglob("*")]
    for path in filter(Path.is_file, kept):
        held = path.read_bytes()
        assert b"PRIVATE KEY" not in held, path
        assert not any(secret in held for secret in secrets), path
    end = time.monotonic() + 30
    while left_behind(str(tmp_path)) and time.monotonic() < end:
        time.sleep(0.5)
    mine = [line for line in left_behind(str(tmp_path)) if str(os.getpid()) not in line]
    assert not any("flower-" in line or "flwr" in line for line in mine)
    assert not fleet.folder.exists()

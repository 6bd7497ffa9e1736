"""Run this checkout on a fleet: a SuperLink and SuperNodes as processes of their own, secured.

    python scripts/fleet.py --nodes 8 'budget=40'

makes TLS certificates and a key for every SuperNode, starts the SuperLink (which lets in
registered SuperNodes only) and the SuperNodes on the loopback interface, submits the app
with `flwr run`, verifies the ledger, and takes everything away again, also when it is
interrupted. It is what docs/fleet.md does by hand on several machines.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from secrets import token_bytes
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from credentials import make_certificates, make_node_key  # noqa: E402
from launch import Launch, number_of_nodes, prepare  # noqa: E402

from flower_relay.destinations import check_folder  # noqa: E402
from flower_relay.errors import ConfigurationError, RelayError  # noqa: E402
from flower_relay.transport.superlink import (  # noqa: E402
    PrivateSuperLink,
    end_tidily_on_signals,
    free_port,
    run_app,
)

_ONLINE_SECONDS = 120.0
_POLL = "0.2"
"""Seconds between a SuperExec's looks for work: Flower 1.41 reads this variable, 1 by default."""


_NO_RESUME = (
    "The participants' keys are made for each fleet and end with it, so its run cannot be gone on "
    "with; on devices that keep their keys it can (docs/fleet.md)."
)


class Fleet(PrivateSuperLink):
    """A secured SuperLink and its SuperNodes, alive as long as the `with` block.

    Parameters
    ----------
    nodes : int
        SuperNodes; each has its own folder, authentication key, participant's key and cache.
    apart : bool
        Whether server apps run apart from the SuperLink, started by a SuperExec of their own,
        and so survive its restart; as children of the SuperLink they end with it.

    Attributes
    ----------
    supernodes : list of subprocess.Popen
        In the order of their partition-ids.
    """

    def __init__(self, nodes: int, *, apart: bool = False) -> None:
        self.num_nodes, self.apart = nodes, apart
        self.supernodes: list[subprocess.Popen[bytes]] = []
        self.superexec: subprocess.Popen[bytes] | None = None
        super().__init__(ROOT)

    def _environment(self) -> dict[str, str]:
        secrets = self.folder / "secrets"
        make_certificates(secrets / "superlink", ["127.0.0.1", "localhost"], days=2)
        self.certificate = secrets / "superlink" / "ca.crt"
        self.trust = f'root-certificates = "{self.certificate}"'
        self.flags = (
            "--ssl-ca-certfile", str(self.certificate),
            "--ssl-certfile", str(secrets / "superlink" / "server.crt"),
            "--ssl-keyfile", str(secrets / "superlink" / "server.key"),
            "--enable-supernode-auth",
            "--database", str(self.folder / "superlink.db"),
        )  # fmt: skip
        if self.apart:
            secret = secrets / "superexec.secret"
            secret.touch(mode=0o600)
            secret.write_bytes(token_bytes(32))
            self.flags += ("--isolation", "process", "--superexec-auth-secret-file", str(secret))
        environment = {**super()._environment(), "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": _POLL}
        # The app is imported for every message: compiled once, it is in half the time.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return environment

    def _start(self) -> None:
        super()._start()
        if self.apart:
            self._start_superexec()
        for number in range(self.num_nodes):
            folder = self.folder / "secrets" / f"node-{number}"
            make_node_key(folder)
            self.register(folder / "auth.pub")
        for number in range(self.num_nodes):
            self.supernodes.append(self.start_node(number))
        self._wait_until_online()

    def _start_superexec(self) -> None:
        """Start what starts server apps, as a process that does not end with the SuperLink."""
        command = [
            "flower-superexec", "--runtime-api-address", f"127.0.0.1:{self.port}",
            "--root-certificates", str(self.certificate),
            "--superexec-auth-secret-file", str(self.folder / "secrets" / "superexec.secret"),
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.superexec = subprocess.Popen(
                command, cwd=self.folder / "empty", env=self.env, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def register(self, public_key: Path) -> None:
        """Let the SuperNode with a key in."""
        answer = self.listing("supernode", "register", str(public_key), "private")
        if not answer.get("success"):
            raise SystemExit(f"The SuperLink did not register a SuperNode: {answer}")

    def start_node(self, number: int, key: Path | None = None) -> subprocess.Popen[bytes]:
        """Start (or start again) one SuperNode."""
        work = self.folder / f"node-{number}"
        (work / "home").mkdir(parents=True, exist_ok=True)
        config = (
            f"partition-id={number} num-partitions={self.num_nodes} "
            f'relay-key="{work / "participant.key"}" relay-cache-dir="{work / "models"}"'
        )
        command = [
            "flower-supernode", "--superlink", f"127.0.0.1:{self.port_for(number)}",
            "--root-certificates", str(self.certificate), "--port", str(free_port()),
            "--auth-supernode-private-key",
            str(key or self.folder / "secrets" / f"node-{number}" / "auth.key"),
            "--node-config", config,
        ]  # fmt: skip
        environment = {**self.env, "FLWR_HOME": str(work / "home"), **self.settings_of(number)}
        with (work / "supernode.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=work, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def port_for(self, number: int) -> int:
        """Where a SuperNode reaches the SuperLink."""
        return self.port

    def settings_of(self, number: int) -> dict[str, str]:
        """What one SuperNode's environment has that others' have not."""
        return {}

    def online(self) -> int:
        """How many SuperNodes are connected."""
        nodes = self.listing("supernode", "list", "private").get("nodes", [])
        return sum(node.get("status") == "online" for node in nodes)

    def _wait_until_online(self) -> None:
        end = time.monotonic() + _ONLINE_SECONDS
        while (there := self.online()) < self.num_nodes:
            for number, process in enumerate(self.supernodes):
                if process.poll() is not None:
                    log = (self.folder / f"node-{number}" / "supernode.log").read_text()
                    raise SystemExit(f"SuperNode {number} ended with {process.returncode}:\n{log}")
            if time.monotonic() > end:
                raise SystemExit(f"{there} of {self.num_nodes} SuperNodes came online in time.")
            time.sleep(1)

    def keep_logs(self, folder: Path) -> None:
        """Copy the logs of SuperLink and SuperNodes into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.log, folder / "superlink.log")
        for source in self.folder.glob("node-*/supernode.log"):
            shutil.copy(source, folder / f"{source.parent.name}.log")

    def _end(self) -> None:
        super()._end()
        for process in self.supernodes:
            process.wait()
        if self.superexec is not None:
            self.superexec.wait()


def verify(folder: Path) -> bool:
    """Have the ledger of a run's folder verified, showing what is said."""
    command = [sys.executable, "-m", "flower_relay.cli", "ledger", "verify", str(folder)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def hop_times(folder: Path) -> list[float]:
    """Seconds of every hop of a run, there and back."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rounds: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [
        seconds
        for entry in rounds
        for seconds in entry.get("hop_seconds", [])
        if seconds is not None
    ]


def main() -> int:
    end_tidily_on_signals()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=number_of_nodes, default=8, help="SuperNodes")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where files go")
    parser.add_argument("--keep-logs", type=Path, help="copy the processes' logs there")
    parser.add_argument("config", nargs="?", default="budget=40", help="run config")
    options = parser.parse_args()
    try:
        if options.keep_logs:
            check_folder(options.keep_logs, "keep-logs")
        launch = prepare(
            options.config, options.runs_dir, run_name=f"fleet-{time.strftime('%Y%m%d-%H%M%S')}",
            min_available_nodes=options.nodes,
        )  # fmt: skip
        if launch.given.get("resume"):
            raise ConfigurationError(_NO_RESUME)
        return _run(options, launch)
    except SystemExit as stop:
        if isinstance(stop.code, int):
            print(_how_to_begin_anew(options, launch), file=sys.stderr)
        raise
    except (RelayError, OSError, subprocess.TimeoutExpired) as problem:
        print(f"Error: {problem}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace, launch: Launch) -> int:
    began = time.monotonic()
    with Fleet(options.nodes) as fleet:
        print(f"{options.nodes} SuperNodes online after {time.monotonic() - began:.0f} s.")
        try:
            problem = run_app(fleet, None, launch.config)
        finally:
            if options.keep_logs:
                fleet.keep_logs(options.keep_logs)
    if problem is not None:
        print(f"FAILED: {problem}", file=sys.stderr)
        return 1
    if times := hop_times(launch.folder):
        p95 = statistics.quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
        print(f"{len(times)} hops: median {statistics.median(times):.2f} s, p95 {p95:.2f} s.")
    return 0 if not (launch.folder / "ledger.db").exists() or verify(launch.folder) else 1


def _how_to_begin_anew(options: argparse.Namespace, launch: Launch) -> str:
    kept = ["--keep-logs", str(options.keep_logs)] if options.keep_logs else []
    where = ["--nodes", str(options.nodes), "--runs-dir", str(options.runs_dir)]
    line = shlex.join(["python", "scripts/fleet.py", *where, *kept, options.config])
    there = f" What was done is in {launch.folder}." if launch.folder.exists() else ""
    return f"Stopped.{there} {_NO_RESUME} To begin anew: {line}"


if __name__ == "__main__":
    sys.exit(main())

"""A SuperLink of one's own, to run an app through Flower's simulation.

`flwr run` by itself uses a SuperLink that stays in the background and may run another
checkout's code, and it exits 0 when the run failed. Here a private SuperLink is started in an
empty folder with its own home and port, asked how each run ended, and taken away again with
everything it started, also when that is interrupted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self
from urllib.error import URLError
from urllib.request import urlopen

from ..errors import RelayError

__all__ = ["PrivateSuperLink", "end_tidily_on_signals", "free_port", "interrupted", "run_app"]

_START_SECONDS, _END_SECONDS = 60.0, 20.0
_LONGEST_TMP = 20
"""Ray keeps sockets some 80 characters below our folder, and their paths end at 103."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CONFIG = """[superlink]
default = "private"

[superlink.private]
address = "127.0.0.1:{port}"
{trust}
"""


class PrivateSuperLink:
    """A SuperLink in simulation mode that lives as long as the `with` block.

    A subclass may run it in another mode, secured, and start more processes: all that carry
    the folder in their environment are ended with it.

    Parameters
    ----------
    root : pathlib.Path
        The checkout that its simulation workers import from.

    Attributes
    ----------
    folder : pathlib.Path
        Its own, removed at the end; `log` is its log in it, `port` where it listens.
    """

    process: subprocess.Popen[bytes] | None = None
    flags: tuple[str, ...] = ("--insecure", "--simulation")
    trust = "insecure = true"
    """How `flwr` connects, as its config has it."""
    certificate: Path | None = None

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = Path(tempfile.mkdtemp(prefix="relay-", dir=_short_tmp()))
        self.port = free_port()
        self.log = self.folder / "superlink.log"
        self.env = self._environment()

    def _environment(self) -> dict[str, str]:
        home = self.folder / "home"
        home.mkdir()
        (home / "config.toml").write_text(_CONFIG.format(port=self.port, trust=self.trust))
        (home / "config.toml").chmod(0o600)
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "FLWR_HOME": str(home),
            "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FLWR_TELEMETRY_ENABLED": "0",
            "PYTHONPATH": str(self.root),
            "RAY_DISABLE_IMPORT_WARNING": "1",
            "RAY_TMPDIR": str(self.folder),
            "TMPDIR": str(self.folder),  # torch leaves caches where temporary files go
            "OMP_NUM_THREADS": "1",
        }

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:  # a signal, too: `__exit__` is not called from here
            self._end()
            raise
        return self

    def _start(self) -> None:
        (self.folder / "empty").mkdir()
        self.launch()

    def launch(self) -> None:
        """Start the SuperLink's process, again after it ended, and wait until it answers."""
        work = self.folder / "empty"
        command = ["flower-superlink", *self.flags, "--host", "127.0.0.1"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                cwd=work, env=self.env, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + _START_SECONDS
        while not self._healthy():
            if self.process.poll() is not None or time.monotonic() > end:
                text = self.log.read_text(errors="replace")
                raise RelayError(f"The SuperLink did not start:\n{text}")
            time.sleep(0.2)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                for run_id in self._unfinished():
                    self.flwr("stop", run_id)
        finally:
            self._end()

    def _healthy(self) -> bool:
        scheme, context = "http", None
        if self.certificate is not None:
            scheme, context = "https", ssl.create_default_context(cafile=str(self.certificate))
        address = f"{scheme}://127.0.0.1:{self.port}/health"
        try:
            with urlopen(address, timeout=1, context=context) as reply:
                return bool(reply.status == 200)
        except (URLError, OSError):
            return False

    def flwr(self, *words: str) -> str:
        """Output of a short `flwr` command."""
        done = subprocess.run(
            ["flwr", *words], cwd=self.folder, env=self.env, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        return done.stdout

    def runs(self) -> list[dict[str, str]]:
        """The runs that this SuperLink knows, newest first."""
        return list(self.listing("ls").get("runs", []))

    def listing(self, *words: str) -> dict[str, Any]:
        """What a `flwr` command says in JSON; empty if it says nothing."""
        text = self.flwr(*words, "--format", "json")
        try:
            return dict(json.loads(text[text.index("{") :]))
        except ValueError:
            return {}

    def _unfinished(self) -> list[str]:
        if self.process is None or self.process.poll() is not None:
            return []
        return [str(r["run-id"]) for r in self.runs() if not r["status"].startswith("finished")]

    def _end(self) -> None:
        """End the SuperLink and all that it started, wait, and remove its folder."""
        with _undisturbed():
            for kind in (signal.SIGTERM, signal.SIGKILL):
                end = time.monotonic() + _END_SECONDS
                self._signal_all(kind)
                while time.monotonic() < end and self._alive():
                    time.sleep(0.1)
                    if kind == signal.SIGKILL:  # what was started meanwhile as well
                        self._signal_all(kind)
            if self.process is not None:
                self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _signal_all(self, kind: signal.Signals) -> None:
        for pid in _processes_with(str(self.folder)):
            _signal(pid, kind)

    def _alive(self) -> bool:
        running = self.process is not None and self.process.poll() is None
        return running or bool(_processes_with(str(self.folder)))


def _short_tmp() -> str | None:
    """Where our folder goes: the usual place, unless Ray's socket paths get too long there."""
    return "/tmp" if len(tempfile.gettempdir()) > _LONGEST_TMP else None


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore a second Ctrl-C: half a clean-up leaves processes behind."""
    before = {kind: signal.signal(kind, signal.SIG_IGN) for kind in _SIGNALS}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _processes_with(text: str) -> list[int]:
    """Processes whose environment or command line holds a text: ours, and nobody else's."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        try:
            held = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if text.encode() in held:
            found.append(int(entry.name))
    return found


def _signal(pid: int, kind: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, kind)


def run_app(
    link: PrivateSuperLink,
    nodes: int | None,
    config: str,
    root: Path | None = None,
    *,
    quiet: bool = False,
) -> str | None:
    """Run one config of an app to its end; what went wrong, or None.

    Parameters
    ----------
    nodes : int or None
        Simulated SuperNodes; None where real ones are connected.
    config : str
        As for `flwr run --run-config`.
    root : pathlib.Path, optional
        The app's folder; by default the SuperLink's own checkout.
    quiet : bool
        Whether to keep its log from being shown.
    """
    root = root or link.root
    before = {str(r["run-id"]) for r in link.runs()}
    simulated = f"num-supernodes={nodes} client-resources-num-cpus=1"
    federation = [] if nodes is None else ["--federation-config", simulated]
    app = link.folder / f"app-{root.name}".replace("_", "-")
    if not app.exists():
        app.symlink_to(root)  # `flwr build` wants a folder name of letters and hyphens
    command = [
        "flwr", "run", str(app), "private", "--stream", *federation, "--run-config", config,
    ]  # fmt: skip
    out = subprocess.DEVNULL if quiet else None
    with subprocess.Popen(
        command, cwd=link.folder, env=link.env, stdout=out, stderr=out
    ) as process:
        try:
            code = process.wait()
        except BaseException:
            process.kill()  # it only shows the log; leaving `with` would wait for the run's end
            raise
    new = [r for r in link.runs() if str(r["run-id"]) not in before]
    if code != 0 or not new:
        return f"flwr run exited with {code} and {'a' if new else 'no'} run"
    status = str(new[0]["status"])
    return None if status == "finished:completed" else f"the run is {status}"


def interrupted(number: int, frame: FrameType | None) -> None:
    """Say that it stops, then end by an exit, which cleans up."""
    with contextlib.suppress(OSError):
        # Not by print, which may be at work in this moment.
        os.write(2, b"\nStopping: ending the run and its processes. This takes some seconds.\n")
    raise SystemExit(128 + number)


def end_tidily_on_signals() -> None:
    """Turn signals into an exit that cleans up; those ignored so far (nohup) stay ignored."""
    for kind in _SIGNALS:
        if signal.getsignal(kind) is not signal.SIG_IGN:
            signal.signal(kind, interrupted)

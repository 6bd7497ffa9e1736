"""A headless browser that is told what to do and asked what it sees, over its own protocol."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import urlopen

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip

_DEADLINE = 120.0


class Browser:
    """One tab of a browser of its own; `complaints` is what its console would show."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._end, self._start())
            self._socket = stack.enter_context(connect(self._address(), max_size=None))
            for domain in ("Page", "Runtime", "Log"):
                self.tell(f"{domain}.enable")
            self._held = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()

    def _start(self) -> subprocess.Popen[bytes]:
        assert BROWSER is not None
        self._process = subprocess.Popen(
            [BROWSER, *FLAGS, f"--user-data-dir={self._folder}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self._process

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        process.wait(60)

    def _address(self) -> str:
        note, end = self._folder / "DevToolsActivePort", time.monotonic() + _DEADLINE
        while not (note.exists() and note.read_text().count("\n")):
            assert time.monotonic() < end and self._process.poll() is None
            time.sleep(0.05)
        port = note.read_text().splitlines()[0]
        with urlopen(f"http://127.0.0.1:{port}/json/list") as reply:
            [tab] = [tab for tab in json.loads(reply.read()) if tab["type"] == "page"]
        return str(tab["webSocketDebuggerUrl"])

    def tell(self, method: str, **terms: Any) -> dict[str, Any]:
        """One command of the protocol, and its answer."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": terms}))
        while True:
            heard = json.loads(self._socket.recv(timeout=_DEADLINE))
            if heard.get("id") == number:
                assert "error" not in heard, heard
                return dict(heard["result"])
            if heard.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(heard["params"]))

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Go somewhere, on a screen of a size."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        self.tell("Page.navigate", url=address)

    def ask(self, expression: str) -> Any:
        """What an expression is in the page."""
        found = self.tell("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression holds in the page."""
        end = time.monotonic() + _DEADLINE
        while not self.ask(expression):
            assert time.monotonic() < end, self.ask("document.body?.innerText")
            time.sleep(0.05)

    def picture(self, path: Path) -> Path:
        """The whole page as a PNG file."""
        shot = self.tell("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

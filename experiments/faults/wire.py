"""Wires between SuperNodes and the SuperLink, with somebody's hand on them.

A wire ends TLS with the SuperLink's own certificate and passes on whole requests: so it can be
cut, lose an answer, or deliver a request twice, as networks do. Here too is the fleet that has
one for each SuperNode.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from scripts.fleet import Fleet

__all__ = ["ANNOUNCED", "DELIVERED", "TamperedFleet", "Wire"]

CLOCK = Path(__file__).resolve().with_name("clock")

_KEPT_BACK = {"host", "content-length", "connection", "transfer-encoding"}

_LATER = 3.0
"""Seconds until a reply of an ordinary model is complete for sure."""

ANNOUNCED, DELIVERED = "/v1/fleet/push-messages", "/v1/fleet/push-object"
"""Where a SuperNode announces a reply, and where it then delivers the parts of it."""


class Wire(threading.Thread):
    """Carries requests to the SuperLink at `port` until `close`.

    Attributes
    ----------
    port : int
        Where the SuperNode connects.
    whole : threading.Event
        Clear it, and nothing gets through in either direction.
    twice : bool
        Whether what a SuperNode pushes is delivered a second time: its announcement when the
        reply is complete, else it would be a new upload, and the parts at once.
    loses : callable
        (path, body) to whether the answer to this request, which was delivered, is lost.
    """

    def __init__(self, port: int, secrets: Path) -> None:
        super().__init__(daemon=True)
        self.whole = threading.Event()
        self.whole.set()
        self.twice = False
        self.loses: Callable[[str, bytes], bool] = lambda path, body: False
        trust = ssl.create_default_context(cafile=str(secrets / "ca.crt"))
        self._superlink = httpx.Client(
            base_url=f"https://127.0.0.1:{port}", verify=trust, timeout=60.0
        )
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(secrets / "server.crt", secrets / "server.key")
        self._server.socket = own.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = int(self._server.server_address[1])

    def run(self) -> None:
        """Listen."""
        self._server.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Stop listening, and let go of what is still held."""
        self.whole.set()
        self._server.shutdown()
        self._server.server_close()
        self._superlink.close()

    def carry(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        """The SuperLink's answer to a request; None where it is lost."""
        self.whole.wait()
        passed = {k: v for k, v in headers.items() if k.lower() not in _KEPT_BACK}
        answer = self._superlink.post(path, content=body, headers=passed)
        if self.twice and path == DELIVERED:
            self._superlink.post(path, content=body, headers=passed)
        elif self.twice and path == ANNOUNCED:
            again = threading.Timer(_LATER, self._announce_again, (body, passed))
            again.daemon = True
            again.start()
        self.whole.wait()
        return None if self.loses(path, body) else answer

    def _announce_again(self, body: bytes, headers: dict[str, str]) -> None:
        with contextlib.suppress(httpx.HTTPError, RuntimeError):  # closed in the meantime
            self._superlink.post(ANNOUNCED, content=body, headers=headers)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: that connections break is what this is for."""


def _handler_of(wire: Wire) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                answer = wire.carry(self.path, dict(self.headers), body)
            except httpx.HTTPError:
                answer = None
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            for key, value in answer.headers.items():
                if key.lower() not in _KEPT_BACK | {"content-encoding"}:
                    self.send_header(key, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *values: object) -> None:
            """Say nothing: the SuperLink's log has it."""

    return Handler


class TamperedFleet(Fleet):
    """A fleet in which each SuperNode has a wire and a clock of its own, to be tampered with."""

    def __init__(self, nodes: int) -> None:
        self.wires: list[Wire] = []
        super().__init__(nodes)

    def port_for(self, number: int) -> int:
        """The SuperNode's end of its wire."""
        while len(self.wires) <= number:
            self.wires.append(Wire(self.port, self.folder / "secrets" / "superlink"))
            self.wires[-1].start()
        return self.wires[number].port

    def settings_of(self, number: int) -> dict[str, str]:
        """Its clock is wrong by what a file says."""
        path = os.pathsep.join((str(CLOCK), self.env["PYTHONPATH"]))
        return {"PYTHONPATH": path, "RELAY_CLOCK": str(self._clock(number))}

    def set_clock(self, number: int, ahead: float) -> None:
        """Put a SuperNode's clock ahead by so many seconds."""
        self._clock(number).write_text(str(ahead))

    def _clock(self, number: int) -> Path:
        return self.folder / f"node-{number}" / "clock"

    def _end(self) -> None:
        super()._end()
        for wire in self.wires:
            wire.close()

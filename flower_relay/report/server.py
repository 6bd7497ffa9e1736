"""The live page of runs: a server on the loopback interface that only reads.

One task asks every run for what is new; each browser has a stream of server-sent events and is
sent what it lacks. A browser that connects again is sent all of it. Requests that name another
host than this machine are refused, so that no page from elsewhere can read a run through a
name that it points here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .follower import Follower
from .run_page import live_page
from .run_view import changes

__all__ = ["HOST", "make_app", "serve"]

HOST = "127.0.0.1"
_NAMES = [HOST, "localhost"]
"""Hosts that a request may be for; the port may be any."""

_PAUSE = 0.5
"""Seconds between two looks at the runs."""

_ALIVE = 20
"""Looks after which a stream says that it is still there, and how the clock stands."""

_HEADERS = {
    b"cache-control": b"no-store",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cross-origin-resource-policy": b"same-origin",
}


def make_app(runs: Sequence[str], pause: float = _PAUSE, *, begins: bool = False) -> Starlette:
    """The application that shows some runs.

    Parameters
    ----------
    runs : sequence of str
        As `Follower` takes them.
    pause : float
        Seconds between two looks at the runs.
    begins : bool
        Whether they may still have no folder.

    Raises
    ------
    ConfigurationError
        When a run is not there.
    """
    followers = [Follower(run, begins=begins) for run in runs]
    reading, stopping = asyncio.Lock(), asyncio.Event()

    async def look() -> None:
        while True:
            for follower in followers:
                async with reading:
                    await asyncio.to_thread(follower.poll)
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(look())
        yield
        task.cancel()

    async def page(request: Request) -> Response:
        return HTMLResponse(live_page([follower.view.title for follower in followers]))

    async def events(request: Request) -> Response:
        stream = _events(followers, reading, stopping, pause)
        return StreamingResponse(stream, media_type="text/event-stream")

    app = Starlette(
        routes=[Route("/", page, methods=["GET"]), Route("/events", events, methods=["GET"])],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=_NAMES, www_redirect=False),
            Middleware(_Headers),
        ],
        lifespan=lifespan,
    )
    app.state.stopping = stopping
    return app


async def _events(
    followers: Sequence[Follower], reading: asyncio.Lock, stopping: asyncio.Event, pause: float
) -> AsyncIterator[str]:
    """What one browser lacks, run by run, for as long as it listens and we are there."""
    known: list[tuple[int, int, int]] = [(-1, 0, 0) for _ in followers]
    looks = 0
    while not stopping.is_set():
        for place, follower in enumerate(followers):
            version, hops, rounds = known[place]
            if follower.version == version and looks % _ALIVE:
                continue
            async with reading:
                news = changes(follower.view, hops, rounds)
                record = follower.view.record
                known[place] = (
                    follower.version,
                    len(record.hops) if record else 0,
                    len(record.rounds) if record else 0,
                )
            yield f"data: {json.dumps({'place': place, 'news': news}, allow_nan=False)}\n\n"
        looks += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause)


class _Headers:
    """Adds what keeps a browser from guessing, keeping or framing what it is sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS.items()]
            await send(message)

        await self._app(scope, receive, sending)


def serve(
    app: Starlette, port: int, *, started: Callable[[int, Callable[[], None]], None] | None = None
) -> None:
    """Serve until Ctrl-C, on the loopback interface only.

    Parameters
    ----------
    app : Starlette
        As `make_app` makes it.
    port : int
        0 takes any that is free.
    started : callable, optional
        Told the port once it listens, and what ends it from another thread.
    """
    config = uvicorn.Config(
        app, host=HOST, port=port, log_level="critical", timeout_graceful_shutdown=2, ws="none",
        server_header=False,
    )  # fmt: skip
    _Server(config, app, started).run()


class _Server(uvicorn.Server):
    """Says which port it listens on, and ends its streams when it is to end itself."""

    def __init__(
        self,
        config: uvicorn.Config,
        app: Starlette,
        started: Callable[[int, Callable[[], None]], None] | None,
    ) -> None:
        super().__init__(config)
        self._stopping: asyncio.Event = app.state.stopping
        self._tell = started

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started and self._tell is not None:
            self._tell(self.servers[0].sockets[0].getsockname()[1], self._stop)

    async def shutdown(self, sockets: Any = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)

    def _stop(self) -> None:
        self.should_exit = True

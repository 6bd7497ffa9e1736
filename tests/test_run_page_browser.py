"""A run's page in a real browser: a run in progress, a finished one, a large one, hostile names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import Context, Message

from clients.client_app import app as lineup_app
from flower_relay import InMemoryGrid, ParticipantRow, RelayStrategy
from flower_relay.report.run_page import write_run_page
from flower_relay.report.run_view import Phase, RunView
from flower_relay.report.server import make_app, serve
from flower_relay.run_folder import RunFolder
from tests.browsers import BROWSER, NAMES, Browser
from tests.test_report import made_up_record
from tests.worlds import CONFIG, first_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None,
        reason=f"no browser to open the page in: none of {', '.join(NAMES)} is installed "
        "(Debian: apt-get install chromium)",
    ),
]

HOPS, GATE = 12, 6
DRAWN = "document.querySelector('.run')?.dataset.drawn !== undefined"
HOSTILE_NAME = '<img src=x onerror="window.owned=1"></script><script>window.owned=1</script>&amp;\''


class GatedRun:
    """A run in a thread that stops before a training until it is let go on."""

    def __init__(self, folder: Path) -> None:
        self.gate, self.waiting, self.trained = threading.Event(), threading.Event(), 0
        self.run = RunFolder(folder)
        self._thread = threading.Thread(target=self._train, daemon=True)
        self._thread.start()

    def _train(self) -> None:
        strategy = RelayStrategy(budget=HOPS, max_leg=2, chain=self.run.chain, store=self.run.store)
        grid = InMemoryGrid(self._answer, 6, run_config=CONFIG)
        strategy.start(grid, first_model(), num_rounds=HOPS)
        strategy.chain.close()  # type: ignore[attr-defined]

    def _answer(self, message: Message, context: Context) -> Message:
        if message.metadata.message_type == "train":
            if self.trained == GATE:
                self.waiting.set()
                assert self.gate.wait(120)
            self.trained += 1
        return lineup_app(message, context)

    def go_on(self) -> None:
        self.gate.set()
        self._thread.join(120)
        assert not self._thread.is_alive()


@contextmanager
def served(*runs: Path) -> Iterator[str]:
    """The live page of runs; its address."""
    address: list[str] = []
    ready = threading.Event()

    def started(port: int, stop: object) -> None:
        address.append(f"http://127.0.0.1:{port}/")
        stops.append(stop)
        ready.set()

    stops: list[object] = []
    app = make_app([str(run) for run in runs], pause=0.05)
    thread = threading.Thread(target=serve, args=(app, 0), kwargs={"started": started})
    thread.start()
    assert ready.wait(60)
    try:
        yield address[0]
    finally:
        stops[0]()  # type: ignore[operator]
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as found:
        yield found


def overflow(browser: Browser) -> int:
    return int(browser.ask("document.documentElement.scrollWidth - innerWidth"))


def test_a_run_in_progress_is_shown_and_grows(browser: Browser, tmp_path: Path) -> None:
    going = GatedRun(tmp_path / "going")
    assert going.waiting.wait(120)
    with served(going.run.path) as address:
        browser.open(address)
        browser.wait(DRAWN)
        browser.wait("document.querySelector('.pill').textContent === 'running'")
        before = int(browser.ask("document.querySelector('.figures dd').firstChild.textContent"))
        assert 0 < before <= GATE
        assert browser.ask("document.querySelectorAll('.run tbody tr').length") == 6
        going.go_on()
        browser.wait("document.querySelector('.pill').textContent === 'over'")
        browser.wait(f"document.querySelector('.figures dd').textContent.startsWith('{HOPS} ')")
        browser.wait("document.querySelector('.progress i').style.width === '100%'")
        browser.wait("document.querySelector('.plot path.u') !== null")
    assert browser.complaints == [] or all("ERR_CONNECTION" in each for each in browser.complaints)


def test_several_runs_stand_side_by_side(browser: Browser, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run = GatedRun(tmp_path / name)
        run.go_on()
    with served(tmp_path / "one", tmp_path / "two") as address:
        browser.open(address, width=1600)
        browser.wait("document.querySelectorAll('.run[data-drawn]').length === 2")
        left, right = browser.ask(
            "[...document.querySelectorAll('.run')].map((run) => run.getBoundingClientRect().top)"
        )
        assert left == right
        assert overflow(browser) <= 0


@pytest.mark.parametrize("width", [1280, 390, 360])
def test_the_saved_page_is_drawn_whole_and_needs_no_scrolling_sideways(
    browser: Browser, width: int, tmp_path: Path
) -> None:
    view = RunView(title="run", record=made_up_record(400), phase=Phase(state="over"))
    browser.open(write_run_page(tmp_path, [view]).as_uri(), width=width)
    browser.wait(DRAWN)
    assert overflow(browser) <= 0
    assert browser.ask("document.querySelectorAll('.run tbody tr').length") == 20
    assert browser.ask("document.querySelectorAll('.faults li').length") > 3
    ink = (
        "(() => { const c = document.querySelector('canvas'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; let n = 0;"
        "for (let i = 3; i < d.length; i += 4) n += d[i] > 200; return n; })()"
    )
    assert browser.ask(ink) > 1000
    browser.ask("document.querySelector('canvas').focus()")
    browser.ask(
        "document.querySelector('canvas').dispatchEvent(new KeyboardEvent('keydown', "
        "{key: 'Home', bubbles: true}))"
    )
    browser.wait("document.querySelector('figcaption').textContent.startsWith('Hop 1 ·')")
    assert browser.complaints == []


def test_names_are_text_whatever_they_are(browser: Browser, tmp_path: Path) -> None:
    record = made_up_record(40)
    record.participants[0] = replace(record.participants[0], name=HOSTILE_NAME)
    record.hops = [replace(hop, trainer=0, outcome="<b>odd</b>") for hop in record.hops]
    view = RunView(title=HOSTILE_NAME, record=record, phase=Phase(problem=HOSTILE_NAME))
    browser.open(write_run_page(tmp_path, [view]).as_uri())
    browser.wait(DRAWN)
    assert browser.ask("window.owned") is None
    assert browser.ask("document.images.length") == 0
    assert browser.ask("document.querySelector('h1').textContent") == HOSTILE_NAME
    assert browser.ask("document.querySelector('.faults b').textContent") == "<b>odd</b>"


def test_fifty_participants_and_two_thousand_hops_are_drawn(
    browser: Browser, tmp_path: Path
) -> None:
    record = made_up_record(2000)
    record.hops = [replace(hop, trainer=at * 7 % 50) for at, hop in enumerate(record.hops)]
    first = record.participants[0]
    record.participants = [many(first, at) for at in range(50)]
    browser.open(write_run_page(tmp_path, [RunView(title="large", record=record)]).as_uri())
    browser.wait(DRAWN)
    took = float(browser.ask("document.querySelector('.run').dataset.drawn"))
    print(f"drawn in {took:.0f} ms")
    assert browser.ask("document.querySelectorAll('.names span').length") == 50
    assert "2,000" in browser.ask("document.querySelector('.figures').textContent")


def many(row: ParticipantRow, at: int) -> ParticipantRow:
    return replace(row, index=at, name=f"partition-id-{at}")

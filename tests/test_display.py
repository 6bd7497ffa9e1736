"""The progress of a run: live on a terminal, a line a round in the log elsewhere."""

from __future__ import annotations

import io
import logging
import math
from dataclasses import replace

import pytest
from rich.console import Console

from flower_relay import RelayStrategy
from flower_relay.federation.progress import ProgressDisplay, describe
from flower_relay.federation.record import ParticipantRow, RelayObserver, RoundRow, RunRecord
from flower_relay.settings import RelaySettings
from tests.worlds import digits_grid, first_model


class Clock:
    """Says what it is told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def record_of(rounds: int, budget: int | None = None) -> RunRecord:
    record = RunRecord(settings=RelaySettings(budget=budget), num_rounds=rounds)
    record.participants = [
        ParticipantRow(
            index=0, name="a", coins=0, locked=0, bond=1, debt=0, accepted=0, rejected=0, examined=0
        )
    ]
    return record


def row_of(number: int, utility: float | None = 0.75) -> RoundRow:
    return RoundRow(
        round=number, hops=2 * number, accepted=2 * number - 1, rejected=1, utility=utility,
        legs=(2,), champion="c0ffee" * 8, seconds=0.14,
    )  # fmt: skip


def play(record: RunRecord, console: Console, seconds: float, rounds: int) -> None:
    """A run in which every round takes as long."""
    clock = Clock()
    display = ProgressDisplay(console, clock)
    display.on_start(record)
    for number in range(1, rounds + 1):
        clock.now += seconds
        record.rounds.append(row_of(number))
        display.on_round(record, record.rounds[-1])
    display.on_end(record)


def lines(caplog: pytest.LogCaptureFixture, rounds: int, of_rounds: int) -> list[str]:
    """What the log says of a run without a terminal."""
    with caplog.at_level("INFO", logger="flwr"):
        play(record_of(of_rounds), Console(file=io.StringIO()), 0.5, rounds)
    return [entry.getMessage() for entry in caplog.records]


def test_a_line_says_how_far_how_well_and_how_long_still() -> None:
    assert describe(record_of(40), row_of(10), 5.0) == (
        "round 10/40, 20 hops, 4.0 hops/s, 0:15 left, 19 accepted, 1 rejected, utility 0.750, "
        "champion c0ffeec0ffee, 0.1 s"
    )


def test_a_round_whose_time_is_not_known_has_none_in_its_line() -> None:
    untimed = replace(row_of(10), seconds=math.nan)
    assert describe(record_of(40), untimed, 5.0).endswith("champion c0ffeec0ffee")


def test_a_budget_of_hops_is_shown_where_it_is_what_ends_the_run() -> None:
    text = describe(record_of(80, budget=80), row_of(10, None), 3600.0)
    assert text.startswith("round 10, 20/80 hops, 0.0 hops/s, 3:00:00 left")
    assert "utility -, champion" in text
    assert describe(record_of(20, 80), row_of(10), 1.0).startswith("round 10/20, 20/80 hops")


def test_no_time_and_no_rounds_divide_nothing() -> None:
    assert "- hops/s" in describe(record_of(0), row_of(0), 0.0)


def test_without_a_terminal_the_log_has_a_line_for_every_round(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = lines(caplog, 100, 1000)
    assert len(found) == 1 + 100 + 1
    assert found[0] == "Relay of 1 participants, chain."
    assert found[7].startswith("round 7/1000, 14 hops, 4.0 hops/s")
    assert not any("\x1b" in line or "\n" in line for line in found)


def test_the_last_line_is_there_also_when_a_run_ends_early(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert lines(caplog, 3, 1000)[-1] == (
        "Relay over: round 3/1000, 6 hops, 4.0 hops/s, in 0:02, 5 accepted, 1 rejected, "
        "utility 0.750"
    )


def test_a_run_of_no_rounds_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert lines(caplog, 0, 10)[1:] == ["Relay over: no round was run"]


def rounds_logged(caplog: pytest.LogCaptureFixture, **options: object) -> list[str]:
    """Lines about rounds that a real run of three leaves in the log."""
    caplog.clear()
    with caplog.at_level("INFO", logger="flwr"):
        strategy = RelayStrategy(examiners=3, **options)  # type: ignore[arg-type]
        strategy.start(digits_grid(4), first_model(), num_rounds=3)
    said = [entry.getMessage() for entry in caplog.records]
    return [line for line in said if line.startswith("round ")]


def test_a_strategy_shows_its_progress_unless_it_is_given_observers_of_its_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shown = rounds_logged(caplog)
    assert [line.split(",")[0] for line in shown] == ["round 1/3", "round 2/3", "round 3/3"]
    assert rounds_logged(caplog, observers=()) == []
    assert rounds_logged(caplog, observers=[RelayObserver()]) == []
    assert len(rounds_logged(caplog, observers=[ProgressDisplay()])) == 3


def terminal() -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        width=80,
        _environ={"TERM": "xterm"},
        legacy_windows=False,
    )


def test_a_terminal_shows_it_live_and_keeps_the_last_state() -> None:
    console = terminal()
    clock, record = Clock(), record_of(40)
    display = ProgressDisplay(console, clock)
    display.on_start(record)
    clock.now += 5.0
    record.rounds.append(row_of(10))
    display.on_round(record, row_of(10))
    assert display._progress is not None
    display._progress.refresh()
    display.on_end(record)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "round 10/40, 20 hops, 4.0 hops/s, 0:15 left" in text
    assert "19 accepted, 1 rejected, utility 0.750" in text
    assert "Relay over: round 10/40" in text.splitlines()[-1]


def test_a_run_that_dies_gives_the_cursor_back() -> None:
    console = terminal()
    display = ProgressDisplay(console)
    display.on_start(record_of(5))
    display.on_start(record_of(5))  # the next run, after one that never ended
    display.close()
    display.close()
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 2


def test_the_log_goes_back_to_where_it_went_when_the_display_is_closed() -> None:
    handlers = logging.getLogger("flwr").handlers
    before = [getattr(handler, "stream", None) for handler in handlers]
    display = ProgressDisplay(terminal())
    display.on_start(record_of(5))
    display.close()
    assert [getattr(handler, "stream", None) for handler in handlers] == before


def test_a_dumb_terminal_gets_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    with caplog.at_level("INFO", logger="flwr"):
        play(record_of(10), dumb, 3.0, 10)
    assert len(caplog.records) == 12
    assert isinstance(dumb.file, io.StringIO) and dumb.file.getvalue() == ""

"""The progress of a run: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from flower_relay.display import ProgressDisplay, describe
from flower_relay.record import ParticipantRow, RoundRow, RunRecord
from flower_relay.settings import RelaySettings


class Pipe(io.StringIO):
    """Counts how often it was flushed."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


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
        legs=(2,), champion="c", seconds=0.1,
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


def lines(seconds: float, rounds: int, of_rounds: int) -> list[str]:
    pipe = io.StringIO()
    play(record_of(of_rounds), Console(file=pipe, width=60), seconds, rounds)
    return pipe.getvalue().splitlines()


def test_a_line_says_how_far_how_well_and_how_long_still() -> None:
    assert describe(record_of(40), row_of(10), 5.0) == (
        "round 10/40, 20 hops, 4.0 hops/s, 0:15 left, 19 accepted, 1 rejected, utility 0.750"
    )


def test_a_budget_of_hops_is_shown_where_it_is_what_ends_the_run() -> None:
    text = describe(record_of(80, budget=80), row_of(10, None), 3600.0)
    assert text.startswith("round 10, 20/80 hops, 0.0 hops/s, 3:00:00 left")
    assert text.endswith("utility -")
    assert describe(record_of(20, 80), row_of(10), 1.0).startswith("round 10/20, 20/80 hops")


def test_no_time_and_no_rounds_divide_nothing() -> None:
    assert "- hops/s" in describe(record_of(0), row_of(0), 0.0)


def test_fast_runs_print_a_line_for_each_twentieth() -> None:
    found = lines(0.001, 1000, 1000)
    assert len(found) == 1 + 20 + 1
    assert max(map(len, found)) > 60  # a log wraps its own lines


def test_slow_runs_print_a_line_every_two_seconds() -> None:
    assert len(lines(0.5, 200, 100_000)) == 1 + 200 // 4 + 1


def test_the_last_line_is_there_also_when_a_run_ends_early() -> None:
    found = lines(0.001, 3, 1000)
    assert found[1:] == [
        "Relay over: round 3/1000, 6 hops, 2000.0 hops/s, in 0:00, 5 accepted, 1 rejected, "
        "utility 0.750"
    ]
    assert lines(1.0, 0, 10)[1:] == ["Relay over: no round was run"]


def test_every_plain_line_is_flushed_and_has_no_escape_codes() -> None:
    pipe = Pipe()
    play(record_of(10), Console(file=pipe), 3.0, 10)
    assert pipe.flushes >= 12
    assert "\x1b" not in pipe.getvalue()


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


def test_a_dumb_terminal_gets_plain_lines() -> None:
    pipe = io.StringIO()
    console = Console(file=pipe, force_terminal=True, _environ={"TERM": "dumb"})
    play(record_of(10), console, 3.0, 10)
    assert len(pipe.getvalue().splitlines()) == 12

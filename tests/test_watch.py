"""Following a run: what is read, what is refused, and that nothing is written."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from flower_relay import RelayStrategy
from flower_relay.cli import app as cli
from flower_relay.errors import ConfigurationError
from flower_relay.federation.record import HopRow
from flower_relay.report.follower import Follower
from flower_relay.report.run_page import saved_page
from flower_relay.report.run_view import RunView, changes, reason_of
from flower_relay.report.server import make_app
from flower_relay.run_folder import RunFolder
from tests.test_report import made_up_record
from tests.worlds import digits_grid, first_model

HOPS = 8


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of eight hops in a folder, its ledger closed."""
    run = RunFolder.new(tmp_path_factory.mktemp("runs"))
    strategy = RelayStrategy(
        budget=HOPS, max_leg=2, chain=run.chain, store=run.store, observers=run.observers
    )
    run.save_champion(strategy.start(digits_grid(5), first_model(), num_rounds=HOPS))
    strategy.chain.close()  # type: ignore[attr-defined]
    return run.path


def polled(target: Path | str) -> Follower:
    follower = Follower(str(target))
    follower.poll()
    return follower


def test_a_finished_run_is_read_from_its_ledger_alone(finished: Path) -> None:
    view = polled(finished).view
    assert view.record is not None
    assert view.phase.state == "over"
    assert len(view.record.hops) == HOPS
    assert [row.name for row in view.record.participants] == [f"partition-id-{n}" for n in range(5)]
    assert sum(row.accepted for row in view.record.participants) == sum(
        hop.outcome == "accepted" for hop in view.record.hops
    )


def test_the_files_folder_and_the_folder_of_runs_name_the_same_run(finished: Path) -> None:
    titles = {polled(path).view.title for path in (finished, finished.parent)}
    assert titles == {finished.name}
    assert polled(finished / "ledger.db").view.record is not None


def test_asking_again_costs_nothing_and_finds_nothing(finished: Path) -> None:
    follower = polled(finished)
    assert not follower.poll()


def test_nothing_is_written_by_reading(finished: Path) -> None:
    def files() -> dict[str, int]:
        # SQLite's readers tell each other where they are in a file of their own.
        own = ("ledger.db-wal", "ledger.db-shm")
        return {p.name: p.stat().st_mtime_ns for p in finished.iterdir() if p.name not in own}

    before = files()
    polled(finished).poll()
    assert files() == before


def test_a_run_that_has_not_begun_is_waited_for(tmp_path: Path) -> None:
    phase = polled(tmp_path).view.phase
    assert (phase.state, phase.problem) == ("waiting", "")


def test_a_run_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="found nothing there"):
        Follower(str(tmp_path / "gone"))


def test_a_broken_ledger_is_said_and_not_raised(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no database" * 100)
    phase = polled(tmp_path).view.phase
    assert "not a whole SQLite database" in phase.problem


def test_times_and_tests_come_from_the_metrics_and_garbage_is_passed_over(
    finished: Path, tmp_path: Path
) -> None:
    (tmp_path / "ledger.db").write_bytes((finished / "ledger.db").read_bytes())
    lines = [
        {"round": 0, "test": {"test_acc": 0.1, "test_loss": 2.3}},
        {"round": 1, "test": {"test_acc": 0.5}},
        {"round": 1, "test": {"test_acc": 1e999}},
        {"round": 2, "test": {"test_acc": "<b>"}},
        {"round": 10**400, "test": {"test_acc": 0.3}},
        {"round": 1, "totals": {"seconds": 12.5, "messages": 7, "bytes_sent": "x"}},
        {"round": None},
        [1, 2],
    ]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"round": 2, "te'
    (tmp_path / "metrics.jsonl").write_text("not json\n" + text)
    view = polled(tmp_path).view
    assert view.record is not None and view.record.messages == 7
    assert [value for _, value in view.tests] == [0.1, 0.5]
    assert view.phase.seconds == 12.5


def test_only_what_came_since_is_sent(finished: Path) -> None:
    view = polled(finished).view
    whole, rest = changes(view), changes(view, hops=5, rounds=2)
    assert whole["first"] == 0 and len(whole["hops"]) == HOPS
    assert rest["first"] == 5 and rest["hops"] == whole["hops"][5:]
    assert rest["rounds"] == whole["rounds"][2:]


def test_a_hop_stands_on_the_hop_that_made_its_base() -> None:
    record = made_up_record(80)
    for hop, shown in zip(record.hops, changes(RunView(title="", record=record))["hops"],
                          strict=True):  # fmt: skip
        parent = shown[2]
        if parent is None:
            assert hop.base == "genesis"
        elif record.hops[parent].model != hop.base:
            pytest.fail(f"{hop} stands on {record.hops[parent]}")


def test_every_outcome_has_a_reason_but_acceptance() -> None:
    def hop(outcome: str) -> HopRow:
        return HopRow(round=1, lane=0, position=0, trainer=0, base="", model=None,
                      outcome=outcome, vote=None, seconds=math.nan)  # fmt: skip

    assert reason_of(hop("accepted")) == ""
    for outcome in ("rejected", "voided", "untested", "timeout", "error", "left", "non-finite",
                    "mis-shaped", "unchanged", "unsigned", "copied"):  # fmt: skip
        assert len(reason_of(hop(outcome))) > 10
    assert reason_of(hop("new-fault")) == ""


def test_data_in_a_page_cannot_end_its_element() -> None:
    record = made_up_record(8)
    page = saved_page([RunView(title="</script><script>x()</script>", record=record)])
    assert page.count("</script>") == 2 and "x()</script>" not in page


def asked(run: Path, path: str = "/", method: str = "GET", **headers: str) -> httpx.Response:
    """One request to the live page of a run."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(make_app([str(run)]))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8420") as one:
            return await one.request(method, path, headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize("host", ["127.0.0.1:8420", "localhost:8420", "localhost"])
def test_this_machines_names_are_answered(host: str, finished: Path) -> None:
    assert asked(finished, host=host).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "169.254.1.1", ""])
def test_other_names_are_not(host: str, finished: Path) -> None:
    assert asked(finished, host=host).status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_the_server_only_reads(method: str, finished: Path) -> None:
    assert asked(finished, method=method).status_code == 405


@pytest.mark.parametrize("path", ["/ledger.db", "/../ledger.db", "/%2e%2e/ledger.db"])
def test_the_server_has_no_files(path: str, finished: Path) -> None:
    assert asked(finished, path).status_code == 404


def test_the_page_may_ask_nobody_but_its_own_server(finished: Path) -> None:
    reply = asked(finished)
    assert "default-src &#39;none&#39;" in reply.text and "connect-src &#39;self&#39;" in reply.text
    assert "http://" not in reply.text.replace("http://www.w3.org/2000/svg", "")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"


def test_the_report_of_a_run_is_written_afterwards_too(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = CliRunner().invoke(cli, ["report", str(finished), "--out", str(out)])
    assert done.exit_code == 0 and done.stdout.strip() == str(out)
    assert finished.name in out.read_text()
    assert (finished / "report.html").stat().st_size > 10_000

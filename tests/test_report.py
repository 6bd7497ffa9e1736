"""The report of a run: what its tables, pictures and files say, and never cover or lose."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from flower_relay.federation.record import HopRow, ParticipantRow, RoundRow, RunRecord
from flower_relay.report import RunOutcome, figures, print_outcome, summary, write_report
from flower_relay.settings import RelaySettings

HOSTILE = frozenset(f"partition-id-{index}" for index in (3, 7, 11, 15))


def made_up_record(hops: int = 400, lanes: int = 1) -> RunRecord:
    """Twenty participants in legs of up to four; the hostile fail and undo their successors."""
    rng = np.random.default_rng(4)
    record = RunRecord(settings=RelaySettings(lanes=lanes, budget=hops), num_rounds=hops)
    batons = ["genesis"] * lanes
    turns: list[int] = []
    while len(record.hops) < hops:
        for lane in range(lanes):
            while len(turns) < 4:  # who is in debt waits most cycles out
                cycle = rng.permutation(20)
                turns += [int(t) for t in cycle if not _bad(int(t)) or rng.random() < 0.35]
            leg = [turns.pop(0) for _ in range(min(4, hops - len(record.hops)))]
            batons[lane] = _run_leg(record, lane, leg, batons[lane], rng)
        if rng.random() < 0.2:  # the lanes meet, and the worst goes on from another's model
            batons[0] = batons[-1]
        record.rounds.append(_round(record, lanes))
    record.participants = [_standing(record, index) for index in range(20)]
    record.seconds, record.own_seconds = 84.2, 3.1
    return record


def made_up_outcome(record: RunRecord | None) -> RunOutcome:
    """An outcome with every participant's accuracy between 0.8 and 0.895."""
    curve = [(row.hops, row.utility or 0.0) for row in (record.rounds if record else [])]
    return RunOutcome(
        strategy="relay" if record else "fedavg",
        title="relay: digits, dirichlet:0.3, seed 0",
        curve=((0, 0.1), *(curve or [(200, 0.8), (400, 0.9)])),
        participant_accuracy={f"partition-id-{k}": 0.8 + k / 200 for k in range(20)},
        messages=4210,
        bytes_sent=81_400_000,
        bytes_received=12_300_000,
        seconds=84.2,
        record=record,
        hostile=HOSTILE,
    )


def _bad(trainer: int) -> bool:
    return f"partition-id-{trainer}" in HOSTILE


def _run_leg(
    record: RunRecord, lane: int, leg: list[int], base: str, rng: np.random.Generator
) -> str:
    baton, failed = base, False
    for position, trainer in enumerate(leg):
        outcome, model = "voided" if failed else "accepted", f"model-{len(record.hops)}"
        if rng.random() < 0.008:
            outcome = str(rng.choice(["timeout", "left"]))
        elif not failed and (_bad(trainer) or rng.random() < 0.01):
            outcome, failed = "rejected", True
        record.hops.append(
            HopRow(
                round=len(record.rounds) + 1, lane=lane, position=position, trainer=trainer,
                base=base, model=model, outcome=outcome, vote=0.01, seconds=0.2,
            )
        )  # fmt: skip
        if outcome != "timeout" and outcome != "left":
            base = model
        baton = base if outcome == "accepted" else baton
    return baton


def _round(record: RunRecord, lanes: int) -> RoundRow:
    outcomes = [hop.outcome for hop in record.hops]
    noise = 0.02 * math.sin(len(outcomes))
    return RoundRow(
        round=len(record.rounds) + 1, hops=len(outcomes), accepted=outcomes.count("accepted"),
        rejected=outcomes.count("rejected"), legs=(4,) * lanes, champion="c", seconds=0.8,
        utility=0.1 + 0.85 * (1 - math.exp(-len(outcomes) / 60)) + noise,
    )  # fmt: skip


def _standing(record: RunRecord, index: int) -> ParticipantRow:
    mine = [hop.outcome for hop in record.hops if hop.trainer == index]
    return ParticipantRow(
        index=index, name=f"partition-id-{index}", coins=0.21 * mine.count("accepted") + 0.05,
        locked=0.0, bond=0.31 if _bad(index) else 1.0, debt=2.2 if _bad(index) else 0.0,
        accepted=mine.count("accepted"), rejected=mine.count("rejected"), examined=140 + index,
    )  # fmt: skip


def printed(outcome: RunOutcome) -> str:
    """What a log file of 100 columns holds."""
    console = Console(file=io.StringIO(), width=100)
    print_outcome(outcome, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def hop(number: int, base: str, outcome: str = "accepted", lane: int = 0) -> HopRow:
    return HopRow(
        round=1, lane=lane, position=0, trainer=number, base=base, model=f"m{number}",
        outcome=outcome, vote=None, seconds=0.1,
    )  # fmt: skip


def record_of(*hops: HopRow, **settings: object) -> RunRecord:
    return RunRecord(settings=RelaySettings.from_mapping(settings), num_rounds=9, hops=[*hops])


def test_every_hop_is_counted_once_under_what_became_of_it() -> None:
    fates = ["accepted", "accepted", "rejected", "timeout", "copied", "voided", "untested", "left"]
    found = summary(made_up_outcome(record_of(*(hop(i, "g", f) for i, f in enumerate(fates)))))
    assert found["hops accepted"] == 2
    assert found["hops rejected or failed"] == 3
    assert found["hops voided"] == 1
    assert found["hops untested or left"] == 2


def test_the_summary_ranks_the_participants_own_accuracy() -> None:
    found = summary(made_up_outcome(None))
    assert found["own data, worst"] == 0.8
    assert found["own data, median"] == pytest.approx(0.8475)
    assert found["own data, best"] == pytest.approx(0.895)
    assert found["test accuracy at the end"] == 0.9
    assert found["hops accepted"] is None


def test_a_log_of_a_hundred_columns_holds_the_tables_whole() -> None:
    text = printed(made_up_outcome(made_up_record()))
    assert "\x1b" not in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert "partition-id-3 (hostile)" in text
    for word in ("coins", "bond", "debt", "accepted", "rejected", "examined", "own data"):
        assert word in text


def test_an_averaging_strategy_has_no_table_of_participants() -> None:
    text = printed(made_up_outcome(None))
    assert "bond" not in text
    assert "hops" not in text
    assert "4,210" in text


def test_names_that_look_like_markup_or_mathematics_are_only_names(tmp_path: Path) -> None:
    record = made_up_record(8)
    first = record.participants[0]
    record.participants[0] = ParticipantRow(**{**vars(first), "name": "[/red] $\\frac{"})
    assert "[/red] $\\frac{" in printed(made_up_outcome(record))
    write_report(tmp_path, made_up_outcome(record))


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_relay_leaves_its_rows_and_its_pictures(tmp_path: Path, lanes: int) -> None:
    record = made_up_record(lanes=lanes)
    written = write_report(tmp_path / "new", made_up_outcome(record))
    assert [path.name for path in written] == [
        "result.json", "learning_curve.png", "lineage.png", "hops.json", "report.html",
    ]  # fmt: skip
    rows = json.loads(written[3].read_text())
    assert len(rows) == 400
    assert rows[0] == vars(record.hops[0])
    assert json.loads(written[0].read_text())["summary"]["seconds"] == 84.2
    for path in written[1:3]:
        height, width = imread(path).shape[:2]
        assert width >= 1200 and height >= 700


def test_an_averaging_strategy_leaves_no_lineage(tmp_path: Path) -> None:
    written = write_report(tmp_path, made_up_outcome(None))
    assert [path.name for path in written] == ["result.json", "learning_curve.png"]


def test_a_relay_without_a_hop_is_reported_too(tmp_path: Path) -> None:
    outcome = made_up_outcome(record_of())
    assert len(write_report(tmp_path, outcome)) == 5
    assert "hops accepted" in printed(outcome)


def test_what_is_no_number_is_null_in_json_and_ranks_nowhere(tmp_path: Path) -> None:
    record = made_up_record(8)
    outcome = made_up_outcome(record)
    broken = RunOutcome(**{**vars(outcome), "participant_accuracy": {"partition-id-0": math.nan}})
    content = write_report(tmp_path, broken)[0].read_text()
    assert "NaN" not in content
    assert json.loads(content)["participant_accuracy"] == {"partition-id-0": None}
    assert summary(broken)["own data, worst"] is None
    assert "nan" not in printed(broken)


def test_the_way_joins_each_hop_to_the_maker_of_its_base() -> None:
    record = record_of(
        hop(0, "genesis", lane=0),
        hop(1, "genesis", lane=1),
        hop(2, "m1", "rejected", lane=1),
        hop(3, "m1", lane=0),  # the lanes met: lane 0 goes on from lane 1's model
        hop(4, "an average", lane=1),
        lanes=2,
    )
    assert figures._segments(record) == {0: [((2, 1), (4, 3))], 1: [((2, 1), (5, 4))]}


def test_places_in_a_fan_out_are_not_lanes() -> None:
    hops = [hop(0, "genesis", lane=0), hop(1, "genesis", lane=1), hop(2, "m0", lane=1)]
    record = record_of(*hops, topology="fan-out")
    assert figures._segments(record) == {0: [((1, 0), (3, 2))]}


def test_pictures_leave_pyplot_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import of it now fails
    assert len(write_report(tmp_path, made_up_outcome(made_up_record(20)))) == 5

"""The worst that participants do, through Flower itself: what a run makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flower_relay.transport.superlink import PrivateSuperLink, run_app
from tests.odd_app import APP, ARCHIVE, CUT, LISTS, UNKNOWN_TYPE

pytestmark = [pytest.mark.flower, pytest.mark.slow]
NODES = 6


@pytest.fixture(scope="module")
def link() -> Iterator[PrivateSuperLink]:
    with PrivateSuperLink(Path(__file__).parents[1]) as link:
        yield link


def run(link: PrivateSuperLink, what: str, out: Path) -> str | None:
    """Run the app; again where Ray itself did not start, as on a machine with too much to do."""
    problem = run_app(link, NODES, f'what="{what}" out="{out}"', APP)
    if problem is not None and "current node timed out during startup" in log_of(link):
        problem = run_app(link, NODES, f'what="{what}" out="{out}"', APP)
    return problem


def log_of(link: PrivateSuperLink) -> str:
    """The log of the newest run, with what breaks a line taken out."""
    return re.sub(r"\s+", " ", link.flwr("log", str(link.runs()[0]["run-id"]), "--show"))


def test_only_the_hops_that_cannot_be_read_fail_and_the_run_goes_on(
    link: PrivateSuperLink, tmp_path: Path
) -> None:
    out = tmp_path / "hops.json"
    problem = run(link, "odd", out)
    said = log_of(link)
    assert problem is None, said[-3000:]
    found: dict[int, set[str]] = {}
    for name, outcome, reason in json.loads(out.read_text()):
        found.setdefault(int(name.rpartition("-")[2]), set()).add(f"{outcome}: {reason or ''}")
    assert {each for number in (0, LISTS, 5) for each in found[number]} == {"accepted: "}
    for number, why in ((CUT, "13 bytes are there"), (ARCHIVE, "no numpy file")):
        assert all("mis-shaped: array 'w': " in each and why in each for each in found[number])
    assert all("mis-shaped" in each and "BF16" in each for each in found[UNKNOWN_TYPE])
    assert "partition-id-4: mis-shaped: " in said and "Relay finished" in said


def test_a_run_whose_trainers_all_return_other_names_fails_and_says_why(
    link: PrivateSuperLink, tmp_path: Path
) -> None:
    problem = run(link, "prefixed", tmp_path / "none.json")
    said = log_of(link)
    assert problem == "the run is finished:failed", said[-3000:]
    assert "array 'w' is missing and array '_orig_mod.w' is not one of the model's" in said
    assert "`_orig_mod.` (torch.compile)" in said
    assert not (tmp_path / "none.json").exists()


def test_what_a_clientapp_raises_at_the_first_contact_is_shown(
    link: PrivateSuperLink, tmp_path: Path
) -> None:
    problem = run(link, "raising", tmp_path / "none.json")
    said = log_of(link)
    assert problem == "the run is finished:failed", said[-3000:]
    assert "FileNotFoundError" in said and "the validation set is not mounted" in said
    assert "none of 6 nodes answered the first evaluate message with metrics" in said

"""What a fleet survives: faults made on purpose, with real processes.

    python -m experiments.faults.faults --repeat 3
    python -m experiments.faults.faults --only killed cut --results faults.jsonl

In each scenario a relay runs on a secured fleet while something goes wrong (`sabotage.py`),
in each repetition one hop later; the run has to end, and its ledger to verify, which includes
that no coin is lost or made. Prints a table, of all that is in the file of results if one is
named.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from experiments.faults.sabotage import (
    Saboteur,
    ahead,
    behind,
    cut,
    flapping,
    killed,
    killed_announcing,
    killed_delivering,
    only_hostile,
    superlink_killed,
    twice,
)
from experiments.faults.wire import TamperedFleet
from flower_relay.transport.superlink import end_tidily_on_signals, run_app
from scripts.fleet import Fleet, verify

_LOST = ("left", "timeout", "error", "mis-shaped", "unsigned")
_LONGEST = 900.0
"""Seconds that a run which nobody watches any more is waited for."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A fault, and the run that it is made in.

    `outlives` says whether the run goes on when `flwr run` ends, and `resumes` whether it is
    resumed then, in another run.
    """

    title: str
    act: Callable[[Saboteur], None]
    config: str = "timeout=120.0"
    fleet: Callable[[int], Fleet] = Fleet
    outlives: bool = False
    resumes: bool = False


SCENARIOS = {
    "killed": Scenario(title="node killed (-9) while training, back after a minute", act=killed),
    "gone": Scenario(
        title="node killed while training, never back", act=partial(killed, back=False)
    ),
    "examiner": Scenario(
        title="node killed while examining, never back",
        act=partial(killed, kind="evaluate", back=False),
    ),
    "announced": Scenario(
        title="node killed in its upload: announced, nothing delivered",
        act=killed_announcing, fleet=TamperedFleet,
    ),
    "delivered": Scenario(
        title="node killed between upload and acknowledgement",
        act=killed_delivering, fleet=TamperedFleet,
    ),
    "restarted": Scenario(
        title="SuperLink killed (-9), back after 10 s; server app apart, database in a file",
        act=superlink_killed, fleet=partial(Fleet, apart=True), outlives=True,
    ),
    "resumed": Scenario(
        title="SuperLink killed (-9), its server app with it; started again, run resumed",
        act=superlink_killed, resumes=True,
    ),
    "cut": Scenario(
        title="network cut for a minute while training", act=cut, fleet=TamperedFleet
    ),
    "late": Scenario(
        title="a node that answers after its deadline, each time", act=only_hostile,
        config='hostile="hang:45" hostile-share=0.26 timeout=30.0',
    ),
    "twice": Scenario(
        title="every answer delivered twice", act=twice, fleet=TamperedFleet
    ),
    "flapping": Scenario(
        title="30 % of nodes (rounded up) flapping, cut off half of the time", act=flapping,
        fleet=TamperedFleet,
    ),
    "behind": Scenario(
        title="a node's clock 4 minutes behind", act=behind, fleet=TamperedFleet
    ),
    "ahead": Scenario(
        title="a node's clock leaps a minute ahead while training; put right after a minute",
        act=ahead, fleet=TamperedFleet,
    ),
    "large": Scenario(
        title="a node that answers with 300 MB, each time", act=only_hostile,
        config='hostile="huge:300" hostile-share=0.26 timeout=600.0',
    ),
    "huge": Scenario(
        title="a node that answers with 1 GB, each time", act=only_hostile, outlives=True,
        config='hostile="huge:1000" hostile-share=0.26 timeout=600.0',
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Played:
    """What came of one repetition of a scenario."""

    scenario: str
    finished: bool
    verified: bool
    seconds: float
    outcomes: dict[str, int]


def play(name: str, nodes: int, hop: int, config: str, logs: Path | None) -> Played:
    """One run with something going wrong at a hop."""
    scenario = SCENARIOS[name]
    with (
        tempfile.TemporaryDirectory(prefix="relay-faults-") as runs,
        scenario.fleet(nodes) as fleet,
    ):
        saboteur = Saboteur(fleet, scenario.act, hop)
        saboteur.start()
        began = time.monotonic()
        whole = f'runs-dir="{runs}" min-available-nodes={nodes} {config} {scenario.config}'
        problem = _run(scenario, fleet, saboteur, name, whole)
        seconds = time.monotonic() - began
        saboteur.over.set()
        saboteur.join(30)
        if logs is not None:
            fleet.keep_logs(logs / f"{name}-{hop}")
        print(f"{name}: {problem or 'finished'} after {seconds:.0f} s", flush=True)
        folder = Path(runs) / name
        finished = problem is None and saboteur.acted.is_set()
        verified = (folder / "ledger.db").exists() and verify(folder)
        result = folder / "result.json"
        hops = json.loads(result.read_text())["hops"] if result.exists() else []
        outcomes = Counter(hop["outcome"] for hop in hops)
    return Played(name, finished, verified, seconds, dict(outcomes))


def _run(
    scenario: Scenario, fleet: Fleet, saboteur: Saboteur, name: str, config: str
) -> str | None:
    """Run to the end, whoever has to be waited for; what went wrong, or None."""
    problem = run_app(fleet, None, f'{config} run-name="{name}"')
    if scenario.outlives:
        return _end_of_newest(fleet)
    if scenario.resumes:
        saboteur.join(120)
        return run_app(fleet, None, f'{config} resume="{name}"')
    return problem


def _end_of_newest(fleet: Fleet) -> str | None:
    end, status = time.monotonic() + _LONGEST, "unknown"
    while time.monotonic() < end:
        if runs := fleet.runs():
            status = str(runs[0]["status"])
        if status.startswith("finished"):
            break
        time.sleep(10)  # asking takes a second of a core
    return None if status == "finished:completed" else f"the run is {status}"


def table(played: Iterable[Played]) -> str:
    """One row a scenario."""
    rows = ["| scenario | repetitions | finished | verified | hops lost | outcomes |"]
    rows.append("|---|---|---|---|---|---|")
    by_name: dict[str, list[Played]] = {}
    for one in played:
        by_name.setdefault(one.scenario, []).append(one)
    for name in sorted(by_name, key=list(SCENARIOS).index):
        of_it = by_name[name]
        outcomes = sum((Counter(one.outcomes) for one in of_it), Counter[str]())
        lost = sum(outcomes[kind] for kind in _LOST)
        found = ", ".join(f"{count} {kind}" for kind, count in outcomes.most_common())
        rows.append(
            f"| {SCENARIOS[name].title} (`{name}`) | {len(of_it)} "
            f"| {sum(one.finished for one in of_it)} | {sum(one.verified for one in of_it)} "
            f"| {lost} of {outcomes.total()} | {found} |"
        )
    return "\n".join(rows)


def main() -> int:
    """Play the scenarios, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--first-hop", type=int, default=1, help="where the first fault happens")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--config", default='budget=8 max-leg=2 partition="iid"')
    parser.add_argument("--results", type=Path, help="file to add results to, one a line")
    parser.add_argument("--keep-logs", type=Path, help="copy the processes' logs there")
    options = parser.parse_args()
    end_tidily_on_signals()
    played: list[Played] = []
    if options.results and options.results.exists():
        lines = options.results.read_text().splitlines()
        played = [Played(**json.loads(line)) for line in lines]
    for name in options.only:
        for hop in range(options.first_hop, options.first_hop + options.repeat):
            played.append(play(name, options.nodes, hop, options.config, options.keep_logs))
            if options.results:
                with options.results.open("a") as file:
                    file.write(json.dumps(asdict(played[-1])) + "\n")
    print(f"\n{table(played)}")
    return 0 if all(one.finished and one.verified for one in played) else 1


if __name__ == "__main__":
    sys.exit(main())

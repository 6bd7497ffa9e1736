"""Lanes without barriers, beside the wave with them, on the clock of simulated devices.

    python -m experiments.gate.arrivals --worlds "digits d0.3 clean" --seeds 4     # some minutes
    python -m experiments.gate.arrivals --worlds spambase --target 0.9 --ways wave "step / R"

The relay of `experiments.gate.lanes` on the devices and the clock of `flower_relay.comparison`.
With barriers a round takes as long as the last whom it waits for. Without, a hop is merged when
it arrives, and its lane goes on with the model as it is then. The server does not know who is
away; on `phones, seen` it knows, and asks nobody who is. `--load 500` has models and cases that
are 500 times as large for the clock, so that a hop takes minutes and phones come and go meanwhile.
"""

from __future__ import annotations

import argparse
import heapq
import math
from dataclasses import dataclass
from functools import partial, reduce
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.gate.gate import VARIANTS
from experiments.gate.lanes import Lanes, Way, summary
from experiments.gate.merges import Hop, State, merged
from experiments.gate.worlds import NODES, Weights, World
from flower_relay.comparison.devices import draw_devices
from flower_relay.comparison.fleet import FleetClock, Traffic
from flower_relay.rules.lanes import MOST_LANES, TELLING, is_calm, lanes_now
from flower_relay.transport.pace import LEAST_PATIENCE

FLEETS = ("homogeneous", "hospitals", "phones", "phones, seen")
SEEN = ", seen"
LEAST_LANES = 2
SILENT, RECENT = 3.0, 100
"""Times the usual of the latest answers after which who owes one is not asked for more."""

WORLDS = (
    World("digits", "dirichlet:0.3", "", 0.0, 0.4),
    World("spambase", "dirichlet:0.3", "", 0.0, 0.1),
    World("letter", "dirichlet:0.3", "", 0.0, 0.4),
    World("digits", "dirichlet:0.3", "sign-flip", 0.2, 0.4),
    World("digits", "dirichlet:0.3", "sign-flip", 0.4, 0.4),
    World("digits", "dirichlet:0.1", "", 0.0, 0.2),
    World("digits", "labels:1", "", 0.0, 0.2),
)


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How hops come together.

    `merges` is a rule of `MERGES`, or nothing where lanes meet at a barrier. `trainers` and
    `examiners` are the parts of them whose answers are waited for; the rest have as long as
    `patience` times what these took. `lanes` is how many at most.
    """

    merges: str = ""
    tested: bool = True
    trainers: float = 1.0
    examiners: float = 1.0
    patience: float = 1.0
    lanes: int = MOST_LANES

    def in_time(
        self, took: NDArray[np.float64], part: float, calm: bool, usual: float = math.inf
    ) -> tuple[NDArray[np.intp], float]:
        """Places of those who are waited for, in the order of arrival, and how long.

        Where there are too few to tell, `usual` is how long that part took in another round. All
        are waited for where it is not `calm`, which a patience of 1 does not ask.
        """
        order, least = np.argsort(took), math.ceil(part * len(took))
        if self.patience > 1 and not calm:
            return order, float(took.max())
        if self.patience == 1:
            return order[:least], float(took[order[least - 1]])
        most = self.patience * min(usual, float(took[order[least - 1]]))
        most = max(LEAST_PATIENCE, most)
        back = order[: int((took <= most).sum())]
        return back, min(most, float(took.max()))


MANNERS = {
    "wave": Manner(),
    "wave of ten": Manner(lanes=10),
    "wave, two thirds": Manner(trainers=2 / 3, examiners=0.5),
    "wave of ten, two thirds": Manner(trainers=2 / 3, examiners=0.5, lanes=10),
    "wave, 1.25 times": Manner(trainers=2 / 3, examiners=2 / 3, patience=1.25),
    "wave, 1.5 times": Manner(trainers=2 / 3, examiners=2 / 3, patience=1.5),
    "wave, twice": Manner(trainers=2 / 3, examiners=2 / 3, patience=2.0),
    "wave, three times": Manner(trainers=2 / 3, examiners=2 / 3, patience=3.0),
    "FedAdam, untested": Manner(tested=False),
    "step / R": Manner(merges="step", examiners=0.5),
    "against its last": Manner(merges="last", examiners=0.5),
    "Adam, each R-th": Manner(merges="buffer", examiners=0.5),
    "Adam with momentum": Manner(merges="momentum", examiners=0.5),
    "Adam": Manner(merges="adam", examiners=0.5),
    "Adam, all examiners": Manner(merges="adam"),
    "Adam, ten lanes": Manner(merges="adam", examiners=0.5, lanes=10),
}
"""With barriers, then without. Five lanes, and no momentum, were chosen by seeds 2900 to 2902."""


@dataclass
class Clocked(Lanes):
    """Lanes on the clock of a fleet, with barriers."""

    fleet: str = "phones"
    manner: Manner = MANNERS["wave"]
    hops: int = 500
    load: float = 1.0
    now: float = 0.0
    trained: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        devices = draw_devices(self.fleet.removesuffix(SEEN), NODES, self.seed)
        self.clock = FleetClock(dict(enumerate(devices)))
        self.asked, self.back = np.zeros(NODES), np.zeros(NODES)  # oldest question, last answer
        self.hop_due = np.zeros(NODES)
        self.took: list[tuple[float, float]] = []
        self.trained_by = self.judged_by = 0.0
        self.usual = math.inf

    def send(self, who: int, models: int = 0) -> float:
        """When a hop arrives, or an examiner's answer on so many models."""
        size = int(4 * self.trail.size * self.load)
        examined = models * np.count_nonzero(self.cases.owner == who)
        traffic = Traffic(
            node=who,
            kind="evaluate" if models else "train",
            round=0,
            down=size * max(1, models),
            up=0 if models else size,
            cases=self.load * (examined or len(self.cases.parts[who][1])),
            epochs=1.0,
        )
        self.clock.now = self.now
        arrives = self.clock.carry(traffic)
        if self.back[who] <= self.now:
            self.asked[who] = self.now
        self.back[who] = max(self.back[who], arrives)
        self.took = [*self.took, (arrives, arrives - self.now)][-RECENT:]
        if not models:
            self.trained, self.hop_due[who] = self.trained + 1, arrives
        return arrives

    def reachable(self, who: NDArray[Any]) -> NDArray[Any]:
        """Those of them who do not owe an answer for long and, where that is seen, are there."""
        usual = [took for arrives, took in self.took if arrives <= self.now]
        silent = SILENT if self.manner.patience == 1.0 else 0.0
        late = self.now - self.asked > silent * np.median(usual) if usual else False
        fine = ~((self.back > self.now) & late)
        if self.fleet.endswith(SEEN):
            devices = self.clock.devices
            fine &= [devices[i].there_from(self.now) == self.now for i in range(NODES)]
        return who[fine[who]]

    def turns(self, free: NDArray[Any], lanes: int) -> NDArray[Any]:
        """Who of them trains next; everybody has one turn a cycle."""
        who = self.rng.permutation(self.may_train(free))[:lanes]
        self.had_turn[who] = True
        return np.asarray(who)

    def examined(self, busy: Any, models: int) -> tuple[NDArray[Any], bool, float]:
        """Who examines and is waited for, whether there are planted models, and when it is done."""
        free = np.setdiff1d(np.arange(NODES), busy)
        seen = self.reachable(free)
        free = seen if len(seen) > 2 else free
        drawn, plants = self.drawn(free), self.plants()
        done = np.array([self.send(i, models + 2 * plants) for i in drawn])
        calm = is_calm(self.verdicts)
        back, most = self.manner.in_time(done - self.now, self.manner.examiners, calm)
        return drawn[np.sort(back)], plants, self.now + most

    def next_leg(self, left: int) -> NDArray[Any]:
        """Who trains next, of whom those are waited for who are back first."""
        flying = [i for flown in self.open for i in flown.who]
        free = np.setdiff1d(np.arange(NODES), flying)
        while True:
            idle = free[self.hop_due[free] <= self.now]  # who was late for a round may train again
            seen = self.reachable(idle)
            who = self.turns(seen if seen.size else free, left)
            arrive = np.array([self.send(i) for i in who])
            few = len(who) < TELLING
            usual = self.usual if few and self.manner.patience > 1 else math.inf
            calm, part = is_calm(self.verdicts), self.manner.trainers
            back, most = self.manner.in_time(arrive - self.now, part, calm, usual)
            if back.size:
                break
            self.now += most
        if not few:
            place = math.ceil(self.manner.trainers * len(who)) - 1
            self.usual = float(np.sort(arrive)[place]) - self.now
        self.trained_by = self.now + most
        return np.asarray(who[back])

    def _next_wave(self, lanes: int) -> NDArray[Any]:
        return self.next_leg(lanes)

    def _passed(self, base: Weights, who: NDArray[Any], ends: list[Weights]) -> list[bool]:
        if not self.manner.tested:
            return [True] * len(who)
        began, ahead = self.now, bool(self.open)
        self.now = began if ahead else max(began, self.trained_by)
        busy = self.open[-1].who if ahead else who
        committee, plants, self.judged_by = self.examined(busy, 1 + len(ends))
        if plants:
            self.plant(base, committee)
        return self.verdicts_on(base, who.tolist(), ends, committee)

    def curve(self) -> NDArray[np.float64]:
        """(seconds, client-epochs, score of the trail) whenever the trail is extended."""
        baton, found = self.trail, []
        while self.trained < self.hops:
            lanes = self.lanes()
            kept = self._round(baton, lanes)[0]
            self.now = max(self.now, self.trained_by, self.judged_by)
            for baton in kept:
                found.append(self.published(baton))
        return np.array(found)

    def lanes(self) -> int:
        """As many as the rule has with so many at most, and two where it has a single one."""
        return max(LEAST_LANES, lanes_now(NODES, self.verdicts, self.manner.lanes))

    def published(self, model: Weights) -> tuple[float, int, float]:
        """Have the trail follow a model."""
        self.keep(model)
        score = self.network.score(self.trail, self.cases.x_test, self.cases.y_test)
        return self.now, self.trained, score


class Arrivals(Clocked):
    """Lanes without barriers.

    While few hops are rejected (`is_calm`), a hop is merged when it arrives, and its lane
    goes on. Else its lane is held until its verdict, and then it is merged, or not. What is
    rejected after it was merged is taken out: everything since is folded again without it.
    """

    def curve(self) -> NDArray[np.float64]:
        """(seconds, client-epochs, score of the trail) whenever the trail is extended."""
        self.state = self.settled = State(self.trail)
        self.log: list[Hop] = []  # merged, and not yet settled
        self.flying: dict[int, int] = {}  # who trains in which lane
        self.unjudged: dict[int, Hop] = {}
        self.held: dict[int, Hop] = {}  # lanes that wait for a verdict
        self.events: list[tuple[float, int, Any]] = []
        self.number, self.scores = count(), []
        self._fill()
        while self.trained < self.hops:
            self.now, _, event = heapq.heappop(self.events)
            if isinstance(event, Hop):
                self._arrived(event)
            else:
                self._judged(*event)
            self._fill()
        return np.array(self.scores)

    def _fill(self) -> None:
        """Send the model on in each lane that has nobody."""
        lanes = self.lanes()
        while len(taken := {*self.flying.values(), *self.held}) < lanes:
            free = np.setdiff1d(np.arange(NODES), [*self.flying, *self.unjudged])
            seen = self.reachable(free)
            free = seen if seen.size or self.events else free
            if not free.size:
                return
            i = int(self.turns(free, 1)[0])
            lane = min(set(range(lanes)) - taken)
            self.flying[i] = lane
            hop = Hop(i, lane, lanes, self.state.model, self._end(self.state.model, i))
            self._at(self.send(i), hop)

    def _at(self, moment: float, event: Any) -> None:
        heapq.heappush(self.events, (moment, next(self.number), event))

    def _arrived(self, hop: Hop) -> None:
        committee, plants, done = self.examined([*self.flying], 2)
        del self.flying[hop.who]
        self.unjudged[hop.who] = hop
        self._at(done, (hop, committee, plants))
        if is_calm(self.verdicts):
            self.log.append(hop)
            self.state = merged(self.manner.merges, self.state, hop)
        else:
            self.held[hop.lane] = hop

    def _judged(self, hop: Hop, committee: NDArray[Any], plants: bool) -> None:
        if plants:
            self.plant(hop.base, committee)
        [passed] = self.verdicts_on(hop.base, [hop.who], [hop.end], committee)
        self.verdicts = [*self.verdicts, passed]
        del self.unjudged[hop.who]
        hop.judged, rule = True, self.manner.merges
        if self.held.get(hop.lane) is hop:
            del self.held[hop.lane]
            if passed:
                self.log.append(hop)
                self.state = merged(rule, self.state, hop)
        elif not passed:
            self.log.remove(hop)
            self.state = reduce(partial(merged, rule), self.log, self.settled)
        self._settle_log()

    def _settle_log(self) -> None:
        """Settle what is judged and has nothing unjudged before it; each R-th is published."""
        while self.log and self.log[0].judged:
            hop = self.log.pop(0)
            self.settled = merged(self.manner.merges, self.settled, hop)
            if self.settled.merged % hop.lanes == 0:
                self.scores.append(self.published(self.settled.model))


def play(world: World, fleet: str, name: str, seed: int, **terms: Any) -> NDArray[np.float64]:
    """One run's curve."""
    manner = MANNERS[name]
    gate = VARIANTS["shipped" if manner.tested else "untested"]
    way = Way(lanes=0, late=int(manner.tested), evened=manner.tested)
    kind = Arrivals if manner.merges else Clocked
    with np.errstate(all="ignore"):
        return kind(gate, world, seed, way=way, fleet=fleet, manner=manner, **terms).curve()


def cell(world: World, fleet: str, name: str, options: argparse.Namespace) -> str:
    """Seconds and client-epochs to the target, the end, and the worst seed's end."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    curves = (play(world, fleet, name, s, hops=options.hops, load=options.load) for s in seeds)
    seconds, epochs, end, worst = summary(curves, options.target)
    said = f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.2g}"
    cost = f"{said} s, {epochs:.0f}" if np.isfinite(seconds) else "never"
    return f"{cost}: {end:.3f} ({worst:.3f})"


def main() -> None:
    """Print a table with a row a world and a way, and a column a fleet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", default="", help="only worlds whose name has this in it")
    parser.add_argument("--ways", nargs="*", default=list(MANNERS), choices=MANNERS)
    parser.add_argument("--fleets", nargs="*", default=list(FLEETS), choices=FLEETS)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=3000)
    parser.add_argument("--hops", type=int, default=500, help="client-epochs to play")
    parser.add_argument("--load", type=float, default=1.0, help="times as much work and bytes")
    parser.add_argument("--target", type=float, default=0.95, help="score to reach")
    options = parser.parse_args()
    print("| world | way |", " | ".join(options.fleets), "|")
    print("|---|---|" + "---|" * len(options.fleets))
    for world in WORLDS:
        for name in options.ways if options.worlds in world.name else ():
            cells = [cell(world, fleet, name, options) for fleet in options.fleets]
            print(f"| {world.name} | {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()

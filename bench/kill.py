"""How a run survives kill -9: the process dies at random instants, and the run is resumed.

    python bench/kill.py                # 95 kills of a run on the in-memory grid
    python bench/kill.py --flower 5     # and 5 of the server app's process, through `flwr run`

Each killed run is resumed and must verify, must have lost at most the leg under way, and
must end with the ledger of the run that was never interrupted, to the same head hash.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from flower_relay import FolderStore, InMemoryGrid, RelayStrategy  # noqa: E402
from flower_relay.ledger import OperatorKey, SealedBlock, open_ledger, read_sealed  # noqa: E402
from flower_relay.ledger.verify import verify_run  # noqa: E402
from flower_relay.mechanism.blocks import Commitment  # noqa: E402

_NODES = 12
_WIDTH = 6


def _cases(number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A participant's own cases: noisy values of one linear function."""
    rng = np.random.default_rng([7, number])
    x = rng.normal(size=(24, _WIDTH))
    return x, x @ np.arange(1.0, _WIDTH + 1) + rng.normal(0, 0.3, size=24)


def client(message: Message, context: Context) -> Message:
    """A small ClientApp in plain numpy whose replies follow from what it is sent.

    Of five participants one is hostile and sends noise, so that legs fail, too.
    """
    number = int(context.node_config["partition-id"])
    x, y = _cases(number)
    weights = next(iter(message.content.array_records.values()))["w"].numpy()
    content = RecordDict()
    if message.metadata.message_type == "train":
        config = next(iter(message.content.config_records.values()))
        rng = np.random.default_rng([int(str(config["hop-seed"])), number])
        drawn = rng.choice(len(x), size=16, replace=False)
        slope = x[drawn].T @ (x[drawn] @ weights - y[drawn]) / len(drawn)
        hostile = number % 5 == 3
        trained = weights + rng.normal(0, 3, _WIDTH) if hostile else weights - 0.2 * slope
        content["arrays"] = ArrayRecord({"w": Array(trained)})
    metrics = {"eval_loss": float(np.mean((x @ weights - y) ** 2))}
    content["metrics"] = MetricRecord({**metrics, "num-examples": len(x), "partition-id": number})
    return Message(content, reply_to=message)


def genesis_model() -> ArrayRecord:
    """All weights zero."""
    return ArrayRecord({"w": Array(np.zeros(_WIDTH))})


def play(folder: Path, rounds: int) -> None:
    """A run on the in-memory grid, or what is left of it; node ids are new each time."""

    def counted(message: Message, context: Context) -> Message:
        if message.metadata.message_type == "train":
            with (folder / "trained").open("ab") as file:
                file.write(b".")
        return client(message, context)

    key = OperatorKey.load_or_create(folder.parent / "operator.key")
    strategy = RelayStrategy(
        run_id="90" * 32,
        observers=(),
        chain=lambda: open_ledger(folder / "ledger.db", key=key),
        store=lambda: FolderStore(folder / "models"),
        resume=True,
        seed=1,
        max_leg=3,
        examiners=5,
        planted=0.2,
        deposit_unit=0.0,
    )
    node_ids = random.SystemRandom().sample(range(1, 2**62), _NODES)
    grid = InMemoryGrid(counted, _NODES, node_ids=node_ids)
    strategy.start(grid, genesis_model(), num_rounds=rounds, timeout=60)


def play_in_a_process(folder: Path, rounds: int) -> int:
    """Fork a process that plays; its id. Nothing is imported anew, so that kills hit the run."""
    folder.mkdir(exist_ok=True)
    process = os.fork()
    if process == 0:
        code = 1
        try:
            play(folder, rounds)
            code = 0
        except Exception as problem:  # what else is left to be known of a process
            print(f"  {folder.name}: {problem!r}", file=sys.stderr)
        finally:
            os._exit(code)
    return process


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What a run's folder holds: the blocks, and how many hops they commit to."""

    blocks: list[SealedBlock]

    @classmethod
    def of(cls, folder: Path) -> Ledger:
        """Of a folder in which a process may have died at any instant."""
        path = folder / "ledger.db"
        if not path.exists():
            return cls(blocks=[])
        with open_ledger(path, key=OperatorKey.load(folder.parent / "operator.key")) as chain:
            return cls(blocks=list(chain.sealed_blocks()))

    @property
    def head(self) -> str:
        """Hash of the last block."""
        return self.blocks[-1].hash if self.blocks else ""

    @property
    def ends_in(self) -> str:
        """Kind of the last block."""
        return type(self.blocks[-1].block()).__name__.lower() if self.blocks else "nothing"

    @property
    def hops(self) -> int:
        """Hops that were committed."""
        found = [sealed.block() for sealed in self.blocks]
        commitments = [block for block in found if isinstance(block, Commitment)]
        return sum(len(claims) for block in commitments for claims in block.lanes)


@dataclass(kw_only=True)
class Count:
    """What became of the killed runs."""

    kills: int = 0
    resumed: int = 0
    verified: int = 0
    only_the_leg: int = 0
    same: int = 0
    died_after: Counter[str] = field(default_factory=Counter)

    def died(self, died: Ledger) -> None:
        """A run was killed."""
        self.kills += 1
        self.died_after[died.ends_in] += 1

    def judge(self, folder: Path, died: Ledger, whole: Ledger, trained: int) -> None:
        """A killed run was resumed, with so many trainings: compare it with the whole run."""
        now = Ledger.of(folder)
        verdict = verify_run(read_sealed(folder / "ledger.db"), models=folder / "models")
        if not verdict.ok:
            print(f"  {folder.name}: {verdict.first_problem}", file=sys.stderr)
        kept = now.blocks[: len(died.blocks)] == died.blocks
        self.resumed += 1
        self.verified += verdict.ok
        self.only_the_leg += kept and trained == whole.hops - died.hops
        self.same += now.head == whole.head

    def tell(self, where: str) -> bool:
        """Print the counts; whether all is well."""
        print(f"{where}: killed {self.kills} times, the last block on the record being")
        for kind, number in self.died_after.most_common():
            print(f"  {kind:<52} {number:>4}")
        rows = {
            "resumed to the end": self.resumed,
            "verified": self.verified,
            "lost no block, and trained only what was not committed": self.only_the_leg,
            "ended with the ledger of the uninterrupted run": self.same,
        }
        for name, number in rows.items():
            print(f"{name:<54} {number:>4} of {self.kills}")
        return set(rows.values()) == {self.kills}


def kill_in_memory(kills: int, rounds: int, seed: int, runs: Path) -> bool:
    """Kill runs on the in-memory grid, at instants drawn over the length of a whole run."""
    began = time.monotonic()
    os.waitpid(play_in_a_process(runs / "whole", rounds), 0)
    length = time.monotonic() - began
    whole, rng, count = Ledger.of(runs / "whole"), random.Random(seed), Count()
    print(f"In memory: {len(whole.blocks)} blocks, {whole.hops} hops, {length:.2f} s, seed {seed}.")
    for number in range(1, 10 * kills):
        if count.kills == kills:
            break
        folder = runs / f"killed-{number}"
        process = play_in_a_process(folder, rounds)
        time.sleep(rng.uniform(0, length))
        os.kill(process, signal.SIGKILL)
        if not os.WIFSIGNALED(os.waitpid(process, 0)[1]):
            continue  # it had ended before
        died, trained = Ledger.of(folder), folder / "trained"
        count.died(died)
        trained.write_bytes(b"")
        if os.waitpid(play_in_a_process(folder, rounds), 0)[1] == 0:
            count.judge(folder, died, whole, trained.stat().st_size)
    return count.tell("In memory")


def main() -> int:
    """Kill, resume, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=95, help="on the in-memory grid")
    parser.add_argument("--rounds", type=int, default=40, help="of a run there")
    parser.add_argument("--flower", type=int, default=0, help="through flwr run")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    options = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    well = True
    with tempfile.TemporaryDirectory() as folder:
        if options.kills:
            well &= kill_in_memory(options.kills, options.rounds, options.seed, Path(folder))
        if options.flower:
            from kill_flower import kill_in_flower

            well &= kill_in_flower(options.flower, options.seed, Path(folder) / "flower")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())

"""How a run survives kill -9: the process dies at random instants, and the run is resumed.

    python -m experiments.faults.kill                # 95 kills of a run on the in-memory grid
    python -m experiments.faults.kill --lanes auto   # of many lanes
    python -m experiments.faults.kill --flower 5     # and 5 of the server app's process

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
from pathlib import Path

from experiments.faults.counting import Count, Ledger
from tests.linear import play


def play_in_a_process(folder: Path, rounds: int, lanes: int | str) -> int:
    """Fork a process that plays; its id. Nothing is imported anew, so that kills hit the run."""
    folder.mkdir(exist_ok=True)
    process = os.fork()
    if process == 0:
        code = 1
        try:
            play(folder, rounds, lanes)
            code = 0
        except Exception as problem:  # what else is left to be known of a process
            print(f"  {folder.name}: {problem!r}", file=sys.stderr)
        finally:
            os._exit(code)
    return process


def kill_in_memory(kills: int, rounds: int, lanes: int | str, seed: int, runs: Path) -> bool:
    """Kill runs on the in-memory grid, at instants drawn over the length of a whole run."""
    began = time.monotonic()
    os.waitpid(play_in_a_process(runs / "whole", rounds, lanes), 0)
    length = time.monotonic() - began
    whole, rng, count = Ledger.of(runs / "whole"), random.Random(seed), Count()
    print(f"In memory: {len(whole.blocks)} blocks, {whole.hops} hops, {length:.2f} s, seed {seed}.")
    for number in range(1, 10 * kills):
        if count.kills == kills:
            break
        folder = runs / f"killed-{number}"
        process = play_in_a_process(folder, rounds, lanes)
        time.sleep(rng.uniform(0, length))
        os.kill(process, signal.SIGKILL)
        if not os.WIFSIGNALED(os.waitpid(process, 0)[1]):
            continue  # it had ended before
        died, trained = Ledger.of(folder), folder / "trained"
        count.died(died)
        trained.write_bytes(b"")
        if os.waitpid(play_in_a_process(folder, rounds, lanes), 0)[1] == 0:
            count.judge(folder, died, whole, trained.stat().st_size)
    return count.tell("In memory")


def main() -> int:
    """Kill, resume, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=95, help="on the in-memory grid")
    parser.add_argument("--rounds", type=int, default=40, help="of a run there")
    parser.add_argument("--lanes", default="1", help="of a run there; `auto` is one of them")
    parser.add_argument("--flower", type=int, default=0, help="through flwr run")
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    options = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    well = True
    with tempfile.TemporaryDirectory() as folder:
        if options.kills:
            lanes = int(options.lanes) if options.lanes.isdigit() else options.lanes
            runs = Path(folder)
            well &= kill_in_memory(options.kills, options.rounds, lanes, options.seed, runs)
        if options.flower:
            from experiments.faults.kill_flower import kill_in_flower

            well &= kill_in_flower(options.flower, options.seed, Path(folder) / "flower")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())

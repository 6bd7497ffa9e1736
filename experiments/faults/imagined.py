"""How fast a ledger is verified: a run without training, whose results are made up.

python -m experiments.faults.imagined                    # 10,000 rounds of 20 participants
python -m experiments.faults.imagined --rounds 1000 --profile
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time

from flower_relay import RelaySettings
from flower_relay.ledger.verify import verify_run
from tests.imagined import KEY, ImaginedRun, sealed


def main() -> None:
    """Verify an imagined run, and say how fast."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--participants", type=int, default=20)
    parser.add_argument("--profile", action="store_true")
    chosen = parser.parse_args()
    settings = RelaySettings(deposit_unit=0.01)
    run = ImaginedRun(settings, participants=chosen.participants, rounds=chosen.rounds)
    ledger = list(sealed(run, KEY))
    profile = cProfile.Profile()
    began, worked = time.perf_counter(), time.process_time()
    if chosen.profile:
        profile.enable()
    verdict = verify_run(ledger, trust=KEY.public)
    profile.disable()
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    print(f"ok: {verdict.ok} {verdict.first_problem or ''}")
    print(f"{verdict.rounds} rounds, {verdict.blocks} blocks, {verdict.hops_attested} hops")
    print(
        f"{seconds:.1f} s ({worked:.1f} s of processor), {verdict.blocks / seconds:.0f} blocks/s, "
        "rules and the operator's signatures"
    )
    if chosen.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
    if not verdict.ok:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""What an operator in league with signers makes of the draw: the committees that it can choose.

    python -m experiments.faults.draws                    # 20 signers, 1,000 rounds

Of `--signing` founders some tell the operator their nonces beforehand. In each round the
operator may leave out openings, and it may say that somebody who is there is absent. Prints, for
each number of friends: in how many rounds a draw is valid that no honest nonce enters (there the
operator can reach every committee, which is shown by trying), and the most committees that it
chooses among in all other rounds.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from itertools import combinations

import numpy as np

from flower_relay.mechanism.blocks import Commitment, Deposit, Genesis, HopClaim, OpenedNonce
from flower_relay.mechanism.deposit import decide_next_deposit
from flower_relay.mechanism.eligible import nonce_bringers, nonces_needed
from flower_relay.mechanism.identity import participant_name
from flower_relay.mechanism.state import State, begin
from flower_relay.mechanism.testing import decide_tests
from flower_relay.settings import RelaySettings

TRIES = 2000


def federation(signing: int) -> State:
    """Founders who all sign."""
    names = tuple(participant_name(f"{number + 1:062x}01") for number in range(signing))
    return begin(
        Genesis(
            settings=asdict(RelaySettings()), model="00" * 32, bound=1.0, participants=names,
            utilities=(None,) * signing, operator="0b" * 32, run="a1" * 32,
        )
    )  # fmt: skip


def committee(state: State, deposit: Deposit, nonces: dict[int, str]) -> tuple[int, ...]:
    """Who examines, by these openings, after a commitment of one hop."""
    lane = deposit.lanes[0]
    hop = HopClaim(trainer=lane.trainers[0], base=lane.base, model="11" * 32, fault=None)
    opened = tuple(
        OpenedNonce(participant=index, nonce=nonces[index], signature="")
        for index in sorted(nonces)
    )
    block = Commitment(round=deposit.round, lanes=((hop,),))
    return decide_tests(state, "22" * 32, deposit, block, opened).committee


def chosen_among(state: State, deposit: Deposit, rng: np.random.Generator) -> int:
    """Committees between which an operator chooses by what it leaves out."""
    drawn = nonce_bringers(state, deposit)
    nonces = {index: rng.bytes(32).hex() for index in drawn}
    subsets = [s for size in range(len(drawn) + 1) for s in combinations(drawn, size)]
    found = {committee(state, deposit, {i: nonces[i] for i in subset}) for subset in subsets}
    return len(found - {()})


def reached(state: State, deposit: Deposit, friends: list[int], rng: np.random.Generator) -> int:
    """Committees that friends reach alone, by choosing their nonces."""
    tries = ({index: rng.bytes(32).hex() for index in friends} for _ in range(TRIES))
    return len({committee(state, deposit, nonces) for nonces in tries} - {()})


def absent_needed(state: State, deposit: Deposit, friends: set[int]) -> int:
    """Honest ones to be called absent, one after the other, until friends alone can draw."""
    for lies in range(len(deposit.present)):
        drawn = nonce_bringers(state, deposit)
        if len(friends & set(drawn)) >= nonces_needed(state, deposit):
            return lies
        gone = next(index for index in drawn if index not in friends)
        present = tuple(index for index in deposit.present if index != gone)
        deposit = replace(deposit, present=present)
    raise AssertionError("nobody is left")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signing", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    state, rng = federation(chosen.signing), np.random.default_rng(chosen.seed)
    first = decide_next_deposit(state, range(chosen.signing), 0)
    assert first is not None
    print("friends  rounds theirs alone  most draws in the others  then reached  "
          "absent that have to be invented (least, median)")  # fmt: skip
    for number in (0, 1, 2, 4, 8):
        others = [n for n in range(chosen.signing) if n not in first.lanes[0].trainers]
        friends = set(rng.choice(others, number, replace=False).tolist())
        theirs, most, then, lies = 0, 0, 0, []
        for round in range(1, chosen.rounds + 1):
            deposit = replace(first, round=round)
            held = sorted(friends & set(nonce_bringers(state, deposit)))
            if len(held) >= nonces_needed(state, deposit):
                theirs, then = theirs + 1, then or reached(state, deposit, held, rng)
            else:
                most = max(most, chosen_among(state, deposit, rng))
            lies += [absent_needed(state, deposit, friends)] if friends else []
        told = f"{min(lies)}, {int(np.median(lies))}" if lies else "-"
        print(f"{number:>7}  {theirs:>8} of {chosen.rounds:<8}  {most:>24}  {then:>12}  {told:>12}")


if __name__ == "__main__":
    main()

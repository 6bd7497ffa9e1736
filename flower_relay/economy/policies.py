"""Policies: how participants bid and behave, honest or not, and who plays which.

"Does it pay to cheat?" is answered by mixing these by share and comparing incomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigurationError

__all__ = [
    "POLICIES", "Examining", "Policy", "Training", "assign", "names_in", "parse_mix",
]  # fmt: skip


class Training(StrEnum):
    """What is handed in for a hop."""

    HONEST = "honest"
    NONE = "none"
    """The base, disguised: no gain."""
    GAMBLE = "gamble"
    """A random change: no gain on average."""
    VANISH = "vanish"
    """Nothing: the base is taken."""
    COPY = "copy"
    """A model that was seen earlier, disguised."""
    SLEEP = "sleep"
    """Honest for some hops, then the update reversed and four times as large."""


class Examining(StrEnum):
    """What an examiner says of models."""

    HONEST = "honest"
    COLLUDES = "colludes"
    """Its own kind's are perfect, all others worthless."""
    REVERSES = "reverses"
    """The better, the worse."""
    LIFTS = "lifts"
    """The truth of hops; of audits more for its own kind and less for others."""
    WHISPERS = "whispers"
    """The same, by no more than what honest examiners differ by."""


_CHAIN_TRAINING = (Training.COPY, Training.SLEEP)
_CHAIN_EXAMINING = (Examining.REVERSES, Examining.LIFTS, Examining.WHISPERS)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One way to play.

    Attributes
    ----------
    about : str
        What it does, for people.
    bid : str
        `staleness` (the rule's bid), `nothing` or `everything`.
    training : Training
    examining : Examining
    renames : bool
        Comes back under a new name after every forfeit.
    """

    about: str
    bid: str = "staleness"
    training: Training = Training.HONEST
    examining: Examining = Examining.HONEST
    renames: bool = False

    @property
    def colludes(self) -> bool:
        """Whether, as an examiner, it puts its own kind first and everybody else last."""
        return self.examining == Examining.COLLUDES

    @property
    def chain_only(self) -> bool:
        """Whether a fan-out has no place for what it does."""
        return self.training in _CHAIN_TRAINING or self.examining in _CHAIN_EXAMINING


POLICIES = {
    "honest": Policy(about="bids by the rule, trains, examines truthfully"),
    "never-bid": Policy(about="honest, but never puts coins at stake", bid="nothing"),
    "all-in": Policy(about="honest, but bids everything it owns", bid="everything"),
    "free-rider": Policy(about="hands back the base in disguise", training=Training.NONE),
    "colluder": Policy(
        about="trains, but as an examiner ranks its own kind first", examining=Examining.COLLUDES
    ),
    "sybil": Policy(
        about="gambles with random changes, and returns under a new name after a forfeit",
        training=Training.GAMBLE,
        renames=True,
    ),
    "dropper": Policy(about="takes the base and never answers", training=Training.VANISH),
    "copycat": Policy(
        about="hands in a model that it was sent earlier, in disguise", training=Training.COPY
    ),
    "sleeper": Policy(
        about="trains for three hops, then reverses its update", training=Training.SLEEP
    ),
    "examiner-liar": Policy(
        about="trains, but turns round what it finds as an examiner", examining=Examining.REVERSES
    ),
    "audit-liar": Policy(
        about="trains and judges hops truthfully, but lifts its own kind in audits, by 0.03",
        examining=Examining.LIFTS,
    ),
    "idle-audit-liar": Policy(
        about="hands back the base, judges hops truthfully, lifts its own kind in audits, by 0.03",
        training=Training.NONE,
        examining=Examining.LIFTS,
    ),
    "quiet-liar": Policy(
        about="an audit liar that lies by no more than honest examiners differ by",
        examining=Examining.WHISPERS,
    ),
}
"""Every policy by name; the position in this table is its number in arrays."""


def parse_mix(text: str) -> dict[str, float]:
    """Read a mix such as `honest=0.8,free-rider=0.2`; a bare name means all of it.

    Raises
    ------
    ConfigurationError
        On a name that does not exist, a share that is no number between 0 and 1, or
        shares that sum to more than 1.
    """
    mix: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = (piece.strip() for piece in part.partition("="))
        if name not in POLICIES:
            raise ConfigurationError(
                f"policies = {text!r}: no policy is called {name!r}; there are: "
                f"{', '.join(POLICIES)}."
            )
        if name in mix:
            raise ConfigurationError(f"policies = {text!r}: {name} is named twice.")
        try:
            mix[name] = float(share) if share else 1.0
        except ValueError:
            mix[name] = float("nan")
        if not 0.0 <= mix[name] <= 1.0:
            raise ConfigurationError(
                f"policies = {text!r}: the share of {name} is {share!r}, expected a number "
                "from 0 to 1."
            )
    if sum(mix.values()) > 1.0 + 1e-9:
        raise ConfigurationError(
            f"policies = {text!r}: the shares sum to {sum(mix.values()):g}, expected at most 1."
        )
    rest = 1.0 - sum(mix.values())
    if rest > 1e-9:  # what is less comes from adding shares
        mix["honest"] = mix.get("honest", 0.0) + rest
    return mix


def names_in(mix: str) -> list[str]:
    """The policies that a mix gives a share to, in the table's order."""
    shares = parse_mix(mix)
    return [name for name in POLICIES if shares.get(name, 0.0) > 0]


def assign(mix: str, num_participants: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Give each participant a policy: exact counts, random places, an honest genesis owner."""
    numbers = np.zeros(num_participants, dtype=np.int8)
    places = 1 + rng.permutation(num_participants - 1)
    taken = 0
    for number, name in enumerate(POLICIES):
        count = 0 if name == "honest" else round(parse_mix(mix).get(name, 0.0) * num_participants)
        numbers[places[taken : taken + count]] = number
        taken += count
    return numbers

"""What each key of the run config means, in the words of its reference page.

Keys that are settings of the relay take their meaning from `RelaySettings`. The page,
`docs/reference/run-config.md`, is written from here by `scripts/reference.py`, and a test holds
the two together.
"""

from __future__ import annotations

from dataclasses import fields

from clients.data import DATASETS
from clients.hostile import BEHAVIOURS
from clients.models import MODELS
from flower_relay.settings import RelaySettings
from strategies.settings import RELAY_KEYS, STRATEGY_NAMES

__all__ = ["meaning_of"]


def _names(names: object) -> str:
    return ", ".join(f"`{name}`" for name in names)  # type: ignore[attr-defined]


_MEANINGS = {
    "strategy": (
        f"one of {_names(STRATEGY_NAMES)}. `relay-untested` has no examiners, `relay-fanout` is "
        "the paper's round, `cyclic` is an untested ring"
    ),
    "rounds": "rounds of the run; for a relay a round is one leg per lane",
    "budget": "client-epochs after which the run ends, whatever the rounds; 0: `rounds` decides",
    "seed": "seed of the partition, the first model, every draw and every batch",
    "data": (
        f"a world: {_names(DATASETS)}; `NAME:CASES` takes so many training cases of it. "
        "Or a path: of an `.npz` (arrays `x`, `y`), of a folder with a folder of images per class, "
        "or of a folder of idx files"
    ),
    "partition": "how cases are divided: `iid`, `dirichlet:ALPHA`, `labels:K`, "
    "`extended:K` (K classes drawn for each, shared by Dirichlet(10)), `natural`",
    "model": f"{_names(MODELS)}; left empty, the one that suits the data",
    "learning-rate": "learning rate of the clients' SGD",
    "batch-size": "cases in one step of a client",
    "local-epochs": "epochs of one hop, or of one client of an averaging strategy",
    "local-steps": (
        "steps of one hop instead of epochs, over the cases as often as it takes; it counts as "
        "one client-epoch. 0: `local-epochs`"
    ),
    "weight-decay": "L2 penalty of the clients' SGD",
    "clip": "largest length of a gradient of the clients' SGD; 0: any",
    "fraction-train": "share of the nodes that train in a round (averaging), or own and train "
    "(fan-out)",
    "fraction-evaluate": "share of the nodes that evaluate the model after a round (averaging). "
    "Flower's own default is 1.0. A relay's examiners evaluate in any case",
    "min-available-nodes": "nodes to wait for before the first message",
    "timeout": "most seconds that a message may take there and back",
    "evaluate-every": "rounds between evaluations on the test set",
    "server-learning-rate": "FedAvgM: the server's learning rate",
    "server-momentum": "FedAvgM: momentum; FedAdam: the first moment",
    "eta": "FedAdam: the server's learning rate",
    "average-every": "`daisychain`: rounds between averages of its models",
    "proximal-mu": "FedProx: weight of the proximal term",
    "trim": "FedTrimmedAvg: share cut at each end",
    "num-malicious-nodes": "MultiKrum: how many hostile nodes it expects",
    "num-nodes-to-select": "MultiKrum: how many models it averages",
    "hostile": (
        f"behaviour of hostile nodes, joined by `+`: {_names(BEHAVIOURS)}. `sybil` and "
        "`crowd` exist in memory only"
    ),
    "hostile-share": "share of the nodes that behave so",
    "local-dp-epsilon": (
        "local differential privacy by Flower's `LocalDpMod`: ε of each message by the mod's "
        "formula; 0: none. Not with `resnet18`"
    ),
    "local-dp-clip": "length to which an update is cut, with `local-dp-epsilon`",
    "local-dp-delta": "δ of each message, with `local-dp-epsilon`",
    "relay-keys-dir": (
        "absolute path of a folder with the simulated participants' keys, made when missing. "
        "Empty: only nodes sign whose own config names a `relay-key`"
    ),
    "runs-dir": "where run folders go; empty: `./runs`",
    "run-name": "the run's folder in it; empty: the time and the strategy",
    "track": "follow a relay in `tensorboard`, `mlflow`, `wandb` or `trackio` as well",
    "resume": (
        "name (or whole path) of a run in `runs-dir` to go on with from its last block. `rounds` "
        "may be more than it had. All other keys must be given as they were"
    ),
}


def meaning_of(key: str) -> str:
    """The meaning of a run-config key.

    Raises
    ------
    KeyError
        When nobody has said what it means.
    """
    if key in RELAY_KEYS:
        name = key.replace("-", "_")
        found = next(item for item in fields(RelaySettings) if item.name == name)
        return str(found.metadata["help"])
    return _MEANINGS[key]

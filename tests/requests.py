"""Requests of any kind to a node that signs: what it answers, and that none of it contradicts.

An operator asks nodes for hops, votes and openings in any order: along two ledgers, of several
rounds, as another operator or of another run, with fields missing, odd or of something else. A node
gets thirty requests. Every signature it gives is checked: it is under what was asked and measured,
and beside all that it signed before it contradicts nothing. `python -m experiments.faults.requests`
asks by the thousand.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import ConfigRecord, Context, Message, RecordDict

from flower_relay.errors import RefusedError
from flower_relay.ledger.keys import OperatorKey
from flower_relay.store import canonical_bytes
from flower_relay.transport.adapter import identify_process, stamp
from flower_relay.wire.parcels import PARCEL, parcel_of, whole
from flower_relay.wire.statements import Hop, Measured, Moment, Opening, check, nonce_hash
from flower_relay.wire.votes import vote_on
from tests.nodes import a_node, name_of, record, tiny_app, weights
from tests.signers import Asking

__all__ = ["Signed", "asked", "fuzz"]

OTHER = OperatorKey(Ed25519PrivateKey.from_private_bytes(b"\2" * 32))
EACH = 30
MODELS = (0.0, 1.0, 2.0, 3.0)
NAMES = [name_of(value) for value in MODELS]
ODD: list[Any] = [
    0, -1, 2**64, True, 0.5, math.nan, math.inf, "", "config", "x" * 10**5, "../../etc/passwd",
    b"\0" * 9, [], ["5e" * 32], ["y"] * 400, [1], [0.5], "5e" * 32, *NAMES,
]  # fmt: skip


def chains() -> list[Asking]:
    """Two ledgers of one run, another run, and another operator's."""
    links = [["77" * 32] * 5, ["77" * 32, "77" * 32, "88" * 32, "88" * 32, "88" * 32]]
    found = []
    for run, key, way in [
        ("a1" * 32, None, links[0]), ("a1" * 32, None, links[1]), ("c3" * 32, None, links[0]),
        ("a1" * 32, OTHER, links[0]),
    ]:  # fmt: skip
        chain = Asking(run) if key is None else Asking(run, key)
        for link in way:
            chain.grow(link)
        found.append(chain)
    return found


def asked(
    rng: random.Random, told: list[str], number: int
) -> tuple[str, dict[str, Any], RecordDict]:
    """A node's request of this number: its kind, its config, and what else it holds."""
    chain = rng.choices(chains(), [18, 3, 2, 1])[0]
    due = 1 + 5 * number // EACH  # as an honest run would have it, in two of three
    height, round = (rng.choice([due, due, rng.randint(1, 5)]) for _ in range(2))
    config = chain.told(round, height=height, seen=rng.choice([0, 0, height - 1, height]))
    value, kind = rng.choice(MODELS), rng.choice(["train", "evaluate"])
    content = RecordDict({"arrays": record(weights(value))})
    if kind == "train":
        config |= {"relay-parent": name_of(value), "relay-up": rng.choice(["exact", "int8"])}
    elif rng.random() < 0.3:
        config["relay-reveal"] = rng.choice([*told[-3:], "5e" * 32])
    elif rng.random() < 0.5:
        config["relay-metric"] = rng.choice(["eval_loss"] * 4 + ["num-examples"])
    else:
        config["relay-metric"] = "eval_loss"
        shown = rng.choices(MODELS, k=rng.randint(1, 3))
        config["relay-shown"] = [name_of(one) for one in shown]
        config["relay-models"] = rng.choices([*NAMES, "5e" * 32], k=len(shown))
        steps = [whole(name_of(one), canonical_bytes(weights(one))) for one in set(shown)]
        content = RecordDict({PARCEL: parcel_of(steps)})
        config["relay-arrays"] = "arrays"
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        key = rng.choice(sorted(config))
        config[key] = rng.choice(ODD)
        if rng.random() < 0.3:
            del config[key]
    content["config"] = ConfigRecord(config)
    return kind, config, content


@dataclass
class Signed:
    """All that a node has signed, and what of it should not have been."""

    public: str = ""
    operators: set[str] = field(default_factory=set)
    heads: dict[tuple[str, int], str] = field(default_factory=dict)
    reached: dict[str, tuple[int, int]] = field(default_factory=dict)
    once: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, config: dict[str, Any], reply: Message) -> int:
        """Take up what a reply signs; how many statements."""
        answer = dict(reply.content["relay"])
        self.public = str(answer["public-key"])
        found = list(self._statements(config, reply, answer))
        if not found:
            return 0
        at = found[0][0].at
        self._grows(at, int(config["relay-height"]))
        for statement, signature in found:
            if not check(self.public, statement, signature):
                self.wrong.append(f"a signature under something else than {statement}")
            self._only_once(statement)
        return len(found)

    def _statements(
        self, config: dict[str, Any], reply: Message, answer: dict[str, Any]
    ) -> Iterator[tuple[Any, str]]:
        at = Moment(
            operator=str(config.get("relay-operator")), run=str(config.get("relay-run")),
            round=int(config.get("relay-round", 0)), head=str(config.get("relay-head")),
        ) if any(key in answer for key in ("signature", "signatures")) else None  # fmt: skip
        if at is None:
            return
        if "nonce" in answer:
            if nonce_hash(bytes.fromhex(str(answer["nonce"]))) != config["relay-reveal"]:
                self.wrong.append("another nonce than was asked for")
            yield Opening(at=at, nonce=str(answer["nonce"])), str(answer["signature"])
        elif "signature" in answer:
            given = self._given(reply)
            yield Hop(at=at, parent=name_of(given), model=name_of(given + 1)), answer["signature"]
        else:
            yield from self._votes(config, answer, at, reply)

    def _given(self, reply: Message) -> float:
        """The model that a node was given to train: what its trained one is one above."""
        return float(reply.metadata.group_id)

    def _votes(
        self, config: dict[str, Any], answer: dict[str, Any], at: Moment, reply: Message
    ) -> Iterator[tuple[Any, str]]:
        plain = "relay-models" not in config or reply.metadata.group_id
        shown = [name_of(self._given(reply))] if plain else config["relay-shown"]
        models = shown if plain else config["relay-models"]
        metric = str(config["relay-metric"])
        rows = zip(models, shown, answer["values"], answer["errors"], answer["cases"],
                   answer["signatures"], strict=True)  # fmt: skip
        for model, seen, value, error, cases, signature in rows:
            if not signature:
                continue
            true = {"eval_loss": MODELS[NAMES.index(seen)], "num-examples": 5.0}[metric]
            if value != true:
                self.wrong.append(f"{value} of a model whose {metric} is {true}")
            measured = Measured(
                value=None if math.isnan(value) else value,
                error=None if math.isnan(error) else error,
                cases=None if cases < 0 else cases,
            )
            yield vote_on(at, str(model), str(seen), metric, measured), str(signature)

    def _grows(self, at: Moment, height: int) -> None:
        """One operator, one ledger of each run, and never back."""
        self.operators.add(at.operator)
        if len(self.operators) > 1:
            self.wrong.append("signed for two operators")
        if self.heads.setdefault((at.run, height), at.head) != at.head:
            self.wrong.append("signed by two ledgers of a run")
        before = self.reached.get(at.run, (0, 0))
        if height < before[0] or at.round < before[1]:
            self.wrong.append("signed by a ledger that was rolled back")
        self.reached[at.run] = (height, at.round)

    def _only_once(self, statement: Any) -> None:
        at = statement.at
        place: tuple[Any, ...] = (at.run, at.round, type(statement).__name__)
        if hasattr(statement, "shown"):
            place += (statement.model,)
        if self.once.setdefault(place, statement) != statement:
            self.wrong.append(f"{statement} beside {self.once[place]}")


def answer_of(
    node: Context, app: Any, kind: str, content: RecordDict, number: int
) -> tuple[str, Message | None]:
    """What became of a request."""
    identify_process(1)
    given = content.get("arrays")
    value = "" if given is None else repr(float(given["w"].numpy()[0]))
    message = stamp(Message(content, node.node_id, kind, group_id=value), f"message-{number}")
    try:
        reply = app(message, node)
    except RefusedError:
        return "refused, with an error", None
    except KeyError:
        return "the ClientApp was given no model, and failed", None
    except Exception as problem:
        return f"RAISED {problem!r}", None
    if "relay" not in reply.content:
        return "answered as to a server that is no relay", None
    if "refused" in reply.content["relay"]:
        return "refused: it contradicts what was shown or signed", None
    return "answered", reply


def fuzz(requests: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Ask so often; counts of what became of it, and what was wrong."""
    counts, wrong, app = Counter[str](), list[str](), tiny_app()
    for number in range(requests):
        if number % EACH == 0:
            rng = random.Random(f"{seed} {number}")
            node, signed, told = a_node(), Signed(), list[str]()
        kind, config, content = asked(rng, told, number % EACH)
        outcome, reply = answer_of(node, app, kind, content, number)
        if reply is not None:
            answer = reply.content["relay"]
            told += [str(answer["nonce-hash"])] if "nonce-hash" in answer else []
            statements = signed.add(config, reply)
            outcome += f", {'signing' if statements else 'and nothing was signed'}"
            counts["statements signed"] += statements
        wrong += [f"request {number}: {outcome}"] if outcome.startswith("RAISED") else []
        wrong += [f"request {number}: {each}" for each in signed.wrong]
        signed.wrong.clear()
        counts[outcome] += 1
    return counts, wrong

"""What is signed on the wire: statements that nobody else can make in the signer's name.

A statement is canonical JSON behind a prefix that names the version, so that a signature under
one kind can never be passed off as one under another kind. The signature is Ed25519; who signs
is its public key. Nothing here knows of Flower.

Each names the operator's key and the run's own number, so that it holds in one run of one
operator only. What a participant says in a round also names the head of the chain that it was
shown: who was shown another chain than the ledger's says something that the ledger cannot hold.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, is_dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..mechanism.identity import is_public_key, key_of

__all__ = [
    "Measured",
    "Head",
    "Hello",
    "Hop",
    "Moment",
    "Opening",
    "Statement",
    "Vote",
    "attests",
    "check",
    "node_hash",
    "nonce_hash",
    "public_hex",
    "sign",
    "signed_bytes",
]


_64_BYTES = re.compile("[0-9a-f]{128}")


_PREFIX = b"flower_relay statement 2\n"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a ClientApp reports of a model, as it reports it.

    `value` is None where it is no finite number, `error` (its standard error) and `cases` where
    the ClientApp does not say.
    """

    value: float | None
    error: float | None = None
    cases: int | None = None


@dataclass(frozen=True, kw_only=True)
class Head:
    """The operator: of my run, the last of so many blocks has this hash.

    It is the operator's own word, sent with every message. Two that name the same number of
    blocks of one run and different hashes prove that it keeps two ledgers.
    """

    operator: str
    run: str
    height: int
    head: str


@dataclass(frozen=True, kw_only=True)
class Hello:
    """This key is mine, at this node: the answer to a challenge that was just drawn.

    `node` is a hash of the challenge and of what the node knows as its own id (`node_hash`). A
    node that passes the challenge on to another gets an answer that names the other.
    """

    operator: str
    run: str
    challenge: str
    node: str


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When something was said: in which run of which operator, in which round, by which head."""

    operator: str
    run: str
    round: int
    head: str


@dataclass(frozen=True, kw_only=True)
class Hop:
    """At that moment I was given `parent` and handed on `model`."""

    at: Moment
    parent: str
    model: str


@dataclass(frozen=True, kw_only=True)
class Vote:
    """Of `model` I measured `value` in `metric`, by what I was shown.

    `value` is as the ClientApp reported it, None where it is no finite number; what becomes of it
    is the ledger's rule. `error` is its standard error and `cases` how many cases it is over,
    None where the ClientApp does not say. `shown` is the hash of the weights that were
    evaluated: the model itself, or its likeness where tests are sent rounded.
    """

    at: Moment
    model: str
    shown: str
    metric: str
    value: float | None
    error: float | None
    cases: int | None


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The nonce that I had committed, opened for the commitment block that is the head only.

    Naming the block is what keeps its producer from hearing a nonce first and choosing the
    block afterwards.
    """

    at: Moment
    nonce: str


Statement = Head | Hello | Hop | Vote | Opening
"""In all of them `run` is the number that the run drew for itself, in its genesis block."""


def signed_bytes(statement: Statement) -> bytes:
    """The bytes that a statement's signature covers.

    Raises
    ------
    ValueError
        On a value that is NaN or infinite.
    """
    parts = {
        name: vars(part) if is_dataclass(part) else part for name, part in vars(statement).items()
    }
    named = {"kind": type(statement).__name__.lower(), **parts}
    text = json.dumps(named, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return _PREFIX + text.encode()


def sign(key: Ed25519PrivateKey, statement: Statement) -> str:
    """The signature of a key under a statement, in hex."""
    return key.sign(signed_bytes(statement)).hex()


def check(public: str, statement: Statement, signature: str) -> bool:
    """Whether a signature under a statement is by the holder of a public key.

    Both in lower-case hex; anything else is just not a signature.
    """
    if not (is_public_key(public) and _64_BYTES.fullmatch(signature)):
        return False
    try:
        _public_key(public).verify(bytes.fromhex(signature), signed_bytes(statement))
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=4096)
def _public_key(public: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))


def attests(name: str, statement: Statement, signature: object) -> bool:
    """Whether what came as a signature is one by the participant of that name."""
    public = key_of(name)
    return public is not None and isinstance(signature, str) and check(public, statement, signature)


def public_hex(key: Ed25519PrivateKey) -> str:
    """The public half of a key, in hex: what a participant is known by."""
    return key.public_key().public_bytes_raw().hex()


def nonce_hash(nonce: bytes) -> str:
    """What is told of a nonce before it is opened."""
    return hashlib.sha256(nonce).hexdigest()


def node_hash(challenge: str, node: int) -> str:
    """A node's id as a greeting names it: salted by the challenge, and so good for that only."""
    return hashlib.sha256(f"{challenge} {node}".encode()).hexdigest()

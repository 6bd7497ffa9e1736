"""What participants sign: statements that nobody else can make in their name.

A statement is canonical JSON behind a prefix of its own, so that a signature under one kind
can never be passed off as one under another kind, or as the operator's. The signature is
Ed25519; a participant is its public key. Nothing here knows of Flower.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ..mechanism.identity import is_hash, key_of

__all__ = [
    "Hello",
    "Hop",
    "Opening",
    "Statement",
    "Vote",
    "attests",
    "check",
    "nonce_hash",
    "public_hex",
    "sign",
    "signed_bytes",
]


_64_BYTES = re.compile("[0-9a-f]{128}")


_PREFIX = b"flower_relay participant statement 1\n"


@dataclass(frozen=True, kw_only=True)
class Hello:
    """This key is mine: the answer to a challenge that the server has just drawn."""

    run: str
    challenge: str


@dataclass(frozen=True, kw_only=True)
class Hop:
    """In this round I was given `parent` and handed on `model`."""

    run: str
    round: int
    parent: str
    model: str


@dataclass(frozen=True, kw_only=True)
class Vote:
    """I make `utility` of `model`, between 0 (as bad as counts) and 1, by what I was shown.

    `shown` is the hash of the weights that were evaluated: the model itself, or its likeness
    where tests are sent rounded. Who holds model and base can make the likeness again.
    """

    run: str
    model: str
    shown: str
    utility: float


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The nonce that I had committed, opened for the commitment block of this hash only.

    Naming the block is what keeps its producer from hearing a nonce first and choosing the
    block afterwards.
    """

    run: str
    commitment: str
    nonce: str


Statement = Hello | Hop | Vote | Opening
"""In all of them `run` is the hash of the run's genesis block; in the hello that comes before
that block, of the run's first model."""


def signed_bytes(statement: Statement) -> bytes:
    """The bytes that a statement's signature covers.

    Raises
    ------
    ValueError
        On a utility that is NaN or infinite.
    """
    named = {"kind": type(statement).__name__.lower(), **asdict(statement)}
    text = json.dumps(named, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return _PREFIX + text.encode()


def sign(key: Ed25519PrivateKey, statement: Statement) -> str:
    """A participant's signature under a statement, in hex."""
    return key.sign(signed_bytes(statement)).hex()


def check(public: str, statement: Statement, signature: str) -> bool:
    """Whether a signature under a statement is by the holder of a public key.

    Both in lower-case hex; anything else is just not a signature.
    """
    if not (is_hash(public) and _64_BYTES.fullmatch(signature)):
        return False
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    try:
        key.verify(bytes.fromhex(signature), signed_bytes(statement))
    except InvalidSignature:
        return False
    return True


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

"""A statement is one signer's, says one thing, and is spelled in one way."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.ledger.keys import verify_signature
from flower_relay.mechanism.identity import is_public_key, key_of, participant_name, short_name
from flower_relay.wire.statements import (
    Head,
    Hello,
    Hop,
    Moment,
    Opening,
    Statement,
    Vote,
    attests,
    check,
    node_hash,
    public_hex,
    sign,
    signed_bytes,
)

MOMENTS = st.builds(Moment, operator=st.text(), run=st.text(), round=st.integers(0), head=st.text())
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
STATEMENTS: st.SearchStrategy[Statement] = st.one_of(
    st.builds(Head, operator=st.text(), run=st.text(), height=st.integers(0), head=st.text()),
    st.builds(Hello, operator=st.text(), run=st.text(), challenge=st.text(), node=st.text()),
    st.builds(Hop, at=MOMENTS, parent=st.text(), model=st.text()),
    st.builds(
        Vote,
        at=MOMENTS,
        model=st.text(),
        shown=st.text(),
        metric=st.text(),
        value=NUMBERS,
        error=NUMBERS,
        cases=st.none() | st.integers(0),
    ),
    st.builds(Opening, at=MOMENTS, nonce=st.text()),
)
KEY, OTHER_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
HELLO = Hello(operator="o", run="r", challenge="x", node="n")


@given(signed=STATEMENTS, shown=STATEMENTS)
def test_a_signature_holds_for_one_statement_and_one_key_only(
    signed: Statement, shown: Statement
) -> None:
    signature = sign(KEY, signed)
    same = signed_bytes(signed) == signed_bytes(shown)
    assert same == (type(signed) is type(shown) and repr(signed) == repr(shown))
    assert check(public_hex(KEY), shown, signature) == same
    assert not check(public_hex(OTHER_KEY), signed, signature)


def test_a_signature_has_one_spelling() -> None:
    public, signature = public_hex(KEY), sign(KEY, HELLO)
    assert check(public, HELLO, signature)
    for other in (signature.upper(), f" {signature}", signature[:-2], "", "no hex", "ü"):
        assert not check(public, HELLO, other)
    for other in (public.upper(), public[:-2], "", "no hex"):
        assert not check(other, HELLO, signature)


def test_every_field_of_a_statement_is_signed() -> None:
    at = Moment(operator="o", run="r", round=1, head="h")
    hop = Hop(at=at, parent="p", model="m")
    assert signed_bytes(hop) == (
        b"flower_relay statement 2\n"
        b'{"at":{"head":"h","operator":"o","round":1,"run":"r"},'
        b'"kind":"hop","model":"m","parent":"p"}'
    )


@given(statement=STATEMENTS)
def test_a_statement_names_operator_and_run(statement: Statement) -> None:
    stated = asdict(statement)
    assert {"operator", "run"} <= stated.get("at", stated).keys()


def test_a_nodes_id_is_salted_by_the_challenge() -> None:
    assert len({node_hash(challenge, node) for challenge in "ab" for node in (1, 2)}) == 4


PRIME = 2**255 - 19
EIGHTH = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
SMALL = [
    (second + sign * 2**255).to_bytes(32, "little").hex()
    for second in (0, 1, PRIME - 1, PRIME, PRIME + 1, EIGHTH, PRIME - EIGHTH)
    for sign in (0, 1)
]


@pytest.mark.parametrize("public", SMALL)
def test_a_key_of_small_order_signs_nothing(public: str) -> None:
    universal = (1).to_bytes(32, "little").hex() + "00" * 32
    assert not is_public_key(public)
    for number in range(64):
        hello = Hello(operator="o", run=str(number), challenge="x", node="n")
        assert not check(public, hello, universal)
        assert not verify_signature(public, str(number).encode(), universal)
    assert key_of(participant_name(public)) is None


def test_a_participant_is_called_by_its_key_and_shown_by_eight_digits_of_it() -> None:
    public = public_hex(KEY)
    name = participant_name(public)
    assert name == f"key:{public}"
    assert key_of(name) == public
    assert short_name(name) == f"key:{public[:8]}"
    for other in ("partition-id-3", "key:", "key:1a2b3c4d", name + "0", name.upper(), name[4:]):
        assert key_of(other) is None
        assert short_name(other) == other
        assert not attests(other, HELLO, "")

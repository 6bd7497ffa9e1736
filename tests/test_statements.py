"""A statement is one participant's, says one thing, and is spelled in one way."""

from __future__ import annotations

from dataclasses import fields

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.mechanism.identity import key_of, participant_name, short_name
from flower_relay.wire.statements import (
    Hello,
    Hop,
    Opening,
    Statement,
    Vote,
    attests,
    check,
    public_hex,
    sign,
    signed_bytes,
)

RUN = "a1" * 32

STATEMENTS: st.SearchStrategy[Statement] = st.one_of(
    st.builds(Hello, run=st.text(), challenge=st.text()),
    st.builds(Hop, run=st.text(), round=st.integers(0), parent=st.text(), model=st.text()),
    st.builds(Vote, run=st.text(), model=st.text(), shown=st.text(), utility=st.floats(0, 1)),
    st.builds(Opening, run=st.text(), commitment=st.text(), nonce=st.text()),
)
KEY, OTHER_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))


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
    hello = Hello(run=RUN, challenge="x")
    public, signature = public_hex(KEY), sign(KEY, hello)
    assert check(public, hello, signature)
    for other in (signature.upper(), f" {signature}", signature[:-2], "", "no hex", "ü"):
        assert not check(public, hello, other)
    for other in (public.upper(), public[:-2], "", "no hex"):
        assert not check(other, hello, signature)


def test_every_field_of_a_statement_is_signed() -> None:
    hop = Hop(run="r", round=1, parent="p", model="m")
    assert signed_bytes(hop) == (
        b"flower_relay participant statement 1\n"
        b'{"kind":"hop","model":"m","parent":"p","round":1,"run":"r"}'
    )
    for kind in (Hello, Hop, Vote, Opening):
        assert "run" in {field.name for field in fields(kind)}


def test_a_participant_is_called_by_its_key_and_shown_by_eight_digits_of_it() -> None:
    name = participant_name("1a2b3c4d" + "0" * 56)
    assert name == "key:1a2b3c4d" + "0" * 56
    assert key_of(name) == "1a2b3c4d" + "0" * 56
    assert short_name(name) == "key:1a2b3c4d"
    for other in ("partition-id-3", "key:", "key:1a2b3c4d", name + "0", name.upper(), name[4:]):
        assert key_of(other) is None
        assert short_name(other) == other
        assert not attests(other, Hello(run=RUN, challenge="x"), "")

"""Blocks come back from their JSON as they were, and nothing else passes for one."""

from __future__ import annotations

import json
from dataclasses import is_dataclass, replace
from enum import StrEnum
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower_relay.errors import LedgerError
from flower_relay.ledger.chain import canonical_json
from flower_relay.mechanism import blocks
from flower_relay.mechanism.blocks import (
    Admission,
    Block,
    Commitment,
    Genesis,
    HopClaim,
    HopResult,
    LaneResult,
    Payment,
    Settlement,
    Standing,
    body,
    parse,
)
from flower_relay.rules.coins import PaymentRule
from flower_relay.rules.outcomes import Fault, Outcome

finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(1 - 2**63, 2**63 - 1)
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(),
    int: whole,
    bool: st.booleans(),
    float: finite,
    type(None): st.none(),
    dict[str, Any]: st.dictionaries(
        st.text(), st.none() | st.booleans() | whole | finite | st.text()
    ),
}


def anything(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    if is_dataclass(hint) and isinstance(hint, type):
        fields = {name: anything(each) for name, each in get_type_hints(hint).items()}
        if hint is Genesis:  # a ledger of other rules is refused by their number
            fields["rules"] = st.just(Genesis.__dataclass_fields__["rules"].default)
        return st.builds(hint, **fields)
    if get_origin(hint) is tuple:
        return st.lists(anything(get_args(hint)[0]), max_size=3).map(tuple)
    if get_origin(hint) is UnionType:
        return st.one_of(*map(anything, get_args(hint)))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    return SIMPLE[hint]


SILENT = HopClaim(trainer=0, base="a", model=None, fault=Fault.TIMEOUT)
SETTLEMENT = Settlement(
    round=3,
    lanes=(
        LaneResult(
            hops=(
                HopResult(
                    trainer=1, base="a", model="b", outcome=Outcome.ACCEPTED, vote=0.5, gain=None
                ),
                HopResult(
                    trainer=2, base="b", model=None, outcome=Fault.TIMEOUT, vote=None, gain=None
                ),
            ),
            baton="b",
            leg=2,
            score=0.25,
            passed=True,
        ),
    ),
    recognised=("b",),
    restart_from=(0,),
    payments=(Payment(participant=1, units=10, rule=PaymentRule.REFUND),),
    standings=(
        Standing(participant=1, bond=1.0, vote_debt=0.0, audit_debt=0.0, waits_until=0, examined=2),
    ),
    standings_root="00",
)


def plain(block: Block) -> dict[str, Any]:
    """A block's fields as a ledger reads them."""
    found = json.loads(canonical_json(block))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("kind", get_args(Block))
def test_a_block_comes_back_from_its_json_as_it_was(kind: type[Block]) -> None:
    @given(anything(kind))
    def comes_back(block: Block) -> None:
        again = parse(plain(block))
        assert type(again) is kind
        assert again == block
        assert canonical_json(again) == canonical_json(block)
        assert parse(body(block)) == block

    comes_back()


def test_outcomes_faults_and_rules_are_spelled_as_plain_texts() -> None:
    fields = body(SETTLEMENT)
    [lane], [payment] = fields["lanes"], fields["payments"]
    words = [*(hop["outcome"] for hop in lane["hops"]), payment["rule"]]
    assert [type(word) for word in words] == [str] * 3
    assert words == ["accepted", "timeout", "refund"]


@pytest.mark.parametrize("word", ["grumpy", "accepted", "TIMEOUT", "", 3, ["timeout"]])
def test_a_fault_that_nobody_knows_is_refused_with_those_that_there_are(word: Any) -> None:
    fields = plain(Commitment(round=1, lanes=((SILENT,),)))
    fields["lanes"][0][0]["fault"] = word
    expected = r"commitment\.lanes\[0\]\[0\]\.fault: expected one of timeout, error, left"
    with pytest.raises(LedgerError, match=expected):
        parse(fields)


def test_nested_tuples_and_absent_values_come_back_as_such() -> None:
    commitment = Commitment(round=1, lanes=((SILENT,), ()))
    assert parse(plain(commitment)) == commitment
    testing = blocks.Testing(
        round=1, committee=(4, 5), audited=(), planted=(), models=("a", "b"),
        utilities=((0.5, None), (None, -1.25)),
    )  # fmt: skip
    assert parse(plain(testing)) == testing
    assert parse(plain(SETTLEMENT)) == SETTLEMENT


def test_an_optimiser_is_spelled_only_where_there_is_one() -> None:
    published = blocks.Publication(
        round=1, batons=("a",), merged_from=(), trails=("a",), champion="a"
    )
    assert "moments" not in body(published)
    assert body(replace(published, moments=("m",)))["moments"] == ("m",)
    with pytest.raises(LedgerError, match=r"publication\.moments: expected no such field"):
        parse(body(published) | {"moments": []})


def test_a_whole_number_stays_whole_where_a_float_may_be() -> None:
    genesis = Genesis(settings={}, model="m", bound=2, participants=("p",), utilities=(1,))
    assert canonical_json(parse(plain(genesis))) == canonical_json(genesis)


def changed(**fields: Any) -> dict[str, Any]:
    return plain(SETTLEMENT) | fields


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (changed(kind="testament"), r"kind: expected one of genesis, .*, found 'testament'"),
        (changed(kind=["genesis"]), r"kind: expected one of"),
        (changed(round=True), r"settlement\.round: expected a whole number, found True"),
        (changed(round=3.0), r"settlement\.round: expected a whole number, found 3\.0"),
        (changed(round=None), r"settlement\.round: expected a whole number, found None"),
        (changed(recognised="b"), r"settlement\.recognised: expected a list, found 'b'"),
        (changed(recognised=["b", 7]), r"settlement\.recognised\[1\]: expected a text, found 7"),
        (changed(bonus=1), r"settlement\.bonus: expected no such field, found 1"),
        (
            changed(payments=[{"participant": 1, "units": 1}]),
            r"settlement\.payments\[0\]\.rule: expected a value, found nothing",
        ),
        (
            changed(payments=[{"participant": 1, "units": "1", "rule": "refund"}]),
            r"settlement\.payments\[0\]\.units: expected a whole number, found '1'",
        ),
        (changed(payments=[3]), r"settlement\.payments\[0\]: expected the fields of a Payment"),
    ],
)
def test_what_is_no_block_is_refused_by_the_path_of_its_field(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(LedgerError, match=message):
        parse(fields)


@pytest.mark.parametrize(
    ("value", "found"), [("high", "'high'"), (False, "False"), (float("inf"), "inf")]
)
def test_a_wrong_value_deep_inside_is_named_by_its_whole_path(value: Any, found: str) -> None:
    fields = plain(SETTLEMENT)
    fields["lanes"][0]["hops"][1]["vote"] = value
    path = r"settlement\.lanes\[0\]\.hops\[1\]\.vote"
    with pytest.raises(LedgerError, match=f"{path}: expected a finite number, found {found}"):
        parse(fields)


@pytest.mark.parametrize("name", sorted(plain(SETTLEMENT).keys() - {"kind"}))
def test_no_field_may_be_missing(name: str) -> None:
    fields = plain(SETTLEMENT)
    del fields[name]
    with pytest.raises(LedgerError, match=rf"settlement\.{name}: expected a value, found nothing"):
        parse(fields)


def test_a_field_with_a_default_must_be_there_too() -> None:
    fields = plain(SETTLEMENT)
    del fields["standings"][0]["examined"]
    with pytest.raises(LedgerError, match=r"standings\[0\]\.examined: expected a value"):
        parse(fields)


def test_parsing_leaves_what_it_was_given_as_it_was() -> None:
    fields = plain(Admission(round=1, participants=("p",)))
    parse(fields)
    assert fields == {"kind": "admission", "round": 1, "participants": ["p"], "roles": []}


@pytest.mark.parametrize("value", [2**63, -(2**63), 10**400])
def test_a_number_that_nothing_can_calculate_with_is_none_of_a_block(value: int) -> None:
    fields = plain(SETTLEMENT)
    fields["payments"][0]["units"] = value
    with pytest.raises(LedgerError, match=r"payments\[0\]\.units: expected a whole number of"):
        parse(fields)
    fields["payments"][0]["units"] = 1
    fields["standings"][0]["bond"] = value  # where a whole number may stand for a float
    with pytest.raises(LedgerError, match=r"standings\[0\]\.bond: expected a whole number of"):
        parse(fields)


def test_half_a_character_is_no_text_of_a_block() -> None:
    with pytest.raises(LedgerError, match=r"participants\[0\]: expected a text of whole char"):
        parse(plain(Admission(round=1, participants=("\ud800",))))


@pytest.mark.parametrize("value", [[], {}, [[1]], 10**400, "\ud800"])
def test_a_setting_is_one_simple_value(value: Any) -> None:
    genesis = Genesis(
        settings={"lanes": value}, model="m", bound=1.0, participants=("p",), utilities=(None,)
    )
    with pytest.raises(LedgerError, match=r"settings\.lanes: expected a text, a number"):
        parse(plain(genesis))


def test_a_message_shows_little_of_a_large_value() -> None:
    with pytest.raises(LedgerError) as refusal:
        parse({"kind": "admission", "round": [["x" * 10**6] * 10] * 10**4})
    assert len(str(refusal.value)) < 200

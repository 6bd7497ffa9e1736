"""The operator's key, and the seals that it puts on blocks."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from flower_relay.errors import KeyFileError, LedgerError
from flower_relay.ledger import OperatorKey, SealedBlock, seal, verify_signature
from tests.ledgers import GENESIS, KEY, OTHER_KEY, joins

# Seals.


def test_any_changed_part_of_a_sealed_block_shows() -> None:
    whole = seal(0, "0" * 64, GENESIS, KEY)
    assert not replace(whole, producer=OTHER_KEY.public).is_signed()
    assert not replace(whole, producer="no key").is_signed()
    assert not replace(whole, signature="zz").is_signed()
    assert not replace(whole, hash="1" * 64).is_signed()
    assert not replace(whole, hash="no hash").is_signed()
    for changed in (replace(whole, previous="1" * 64), replace(whole, body=whole.body + " ")):
        assert changed.computed_hash() != changed.hash


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ('{"kind":"admission","participants":["p"],"round":NaN}', "NaN is not a number"),
        ('{"kind":"admission","participants":["p"], "round":1}', "expected canonical JSON"),
        ('{"kind":"admission","round":1,"participants":["p"]}', "expected canonical JSON"),
        ('{"kind":"admission","participants":["p"],"round":1,"round":1}', "each key once"),
        (
            '{"kind":"admission","participants":["p"],"roles":[],"round":1.0}',
            "expected a whole number",
        ),
    ],
)
def test_a_body_that_spells_no_block_in_the_one_way_is_refused(body: str, message: str) -> None:
    sealed = replace(seal(7, "0" * 64, joins(1), KEY), body=body)
    with pytest.raises(LedgerError, match=message):
        sealed.block()


# Keys.


def test_a_key_file_is_for_its_owner_only_and_gives_the_same_key_again(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "operator.key"
    key = OperatorKey.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert OperatorKey.load(path).public == OperatorKey.load_or_create(path).public == key.public
    assert [each.name for each in path.parent.iterdir()] == ["operator.key"]


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    key = OperatorKey.create(tmp_path / "operator.key")
    with pytest.raises(KeyFileError, match="is there already"):
        OperatorKey.create(tmp_path / "operator.key")
    assert OperatorKey.load(tmp_path / "operator.key").public == key.public


def test_those_who_make_a_key_at_once_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "operator.key"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: OperatorKey.load_or_create(path).public, range(16)))
    assert len(set(keys)) == 1


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n", b"\xff\x00"])
def test_a_file_that_holds_no_key_is_told_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "operator.key"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="holds something else"):
        OperatorKey.load_or_create(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o602])
def test_a_key_that_others_can_read_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "operator.key"
    key = OperatorKey.create(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=rf"its mode is {mode:o}.*`chmod 600 .*operator.key`"):
        OperatorKey.load_or_create(path)
    path.chmod(0o400)
    assert OperatorKey.load(path).public == key.public


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_key_is_read_from_a_file_only(tmp_path: Path, put: Callable[[Path], None]) -> None:
    put(tmp_path / "operator.key")
    with pytest.raises(KeyFileError, match=r"should be in .*, but: a (pipe|folder|device)"):
        OperatorKey.load_or_create(tmp_path / "operator.key")


def test_a_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        OperatorKey.load(tmp_path / "operator.key")


def test_a_signature_is_of_one_key_over_one_text() -> None:
    signature = KEY.sign(b"text")
    assert verify_signature(KEY.public, b"text", signature)
    assert not verify_signature(KEY.public, b"test", signature)
    assert not verify_signature(OTHER_KEY.public, b"text", signature)
    assert not verify_signature("no key", b"text", signature)
    assert not verify_signature(KEY.public, b"text", "no signature")


def test_a_key_shows_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "operator.key"
    assert (
        repr(OperatorKey.create(path)) == f"OperatorKey(public={OperatorKey.load(path).public!r})"
    )


def test_a_sealed_block_holds_no_key_and_no_time() -> None:
    sealed = seal(0, "0" * 64, joins(1), KEY)
    assert sealed == SealedBlock(
        index=0,
        previous="0" * 64,
        body='{"kind":"admission","participants":["p1"],"roles":[],"round":1}',
        hash=sealed.computed_hash(),
        producer=KEY.public,
        signature=KEY.sign(bytes.fromhex(sealed.hash)),
    )

"""Ledgers as anybody can make them: values, bytes and blocks changed at random, signed anew.

A ledger is changed in one place or in a few, and sealed again with the operator's own key, so
that only the rules stand in the way. `verify` must come to a verdict, and every other command
to an end. `python -m experiments.faults.mutate` does so by the thousand.
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from flower_relay import RelayError
from flower_relay.ledger import OperatorKey, SealedBlock
from flower_relay.ledger.cli import app
from flower_relay.ledger.sealed import NOTHING_BEFORE
from flower_relay.ledger.verify import verify_run
from flower_relay.wire.heads import joined

__all__ = ["CHANGES", "faults_of_commands", "faults_of_verify", "mutants", "write_ledger"]

Bodies = list[str]

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 10**3, 10**6, 10**9, 2**31, 2**53, 2**62, 2**63 - 1, 2**63,
    -(2**63), 10**30, 10**400, 0.0, -0.0, 0.5, 1.0, -1.0, 1e-320, 1e15, 1e100, 1e308, -1e308,
    "", "x", "a" * 64, "0" * 64, "A" * 64, "a" * 10**5, "\n" * 1000, "é", "\ud800", "\u202e",
    "\x1b]0;title\x07", "\x1b[1A\x1b[2K", "[bold red]x[/]", "[/nothing]", "$\\frac{$", "<script>",
    "../../etc/passwd", "key:" + "0" * 64, "key:01" + "0" * 62, "chain", "fan-out", "average",
    "select", "royalty", "contribution", "both", "train", "examine", "accepted", "voided", "left",
    "untested", "copied", "timeout", [], {}, [0], [[]], [None], ["x"], [1e308], {"x": 1},
)  # fmt: skip
"""Values that a field may be given; some fit its type and no rule, some nothing."""

RAW = ("NaN", "Infinity", "-Infinity", "1e400", "1" * 5000, "[" * 5000 + "]" * 5000,
       "[" * 900 + "]" * 900, '{"a":1,"a":2}', "01", "1.50", "\\ud800", '"\\ud800"')  # fmt: skip
"""What JSON, or a reader of it, may take for a value."""


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a body."""
    if path:
        yield path
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, each in items:
        yield from _places(each, (*path, key))


def _at(value: Any, path: Sequence[Any]) -> Any:
    for key in path:
        value = value[key]
    return value


def _spelled(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _change_value(rng: random.Random, bodies: Bodies) -> None:
    """One value is another one, an odd one or one from elsewhere."""
    index = rng.randrange(len(bodies))
    _put(rng, bodies, index, rng.choice(list(_places(json.loads(bodies[index])))))


def _change_setting(rng: random.Random, bodies: Bodies) -> None:
    """One setting of the genesis block is odd."""
    _put(rng, bodies, 0, ("settings", rng.choice(list(json.loads(bodies[0])["settings"]))))


def _change_all(rng: random.Random, bodies: Bodies) -> None:
    """One value is the same odd one wherever it stands, as a name may be."""
    body = json.loads(rng.choice(bodies))
    values = [_at(body, path) for path in _places(body)]
    found = rng.choice([value for value in values if isinstance(value, str)])
    odd = rng.choice([odd for odd in ODD if isinstance(odd, str)])
    old, new = _spelled(found), _spelled(odd)
    bodies[:] = [text.replace(old, new) for text in bodies]


def _put(rng: random.Random, bodies: Bodies, index: int, path: tuple[Any, ...]) -> None:
    body = json.loads(bodies[index])
    other = json.loads(rng.choice(bodies))
    elsewhere = _at(other, rng.choice(list(_places(other))))
    _at(body, path[:-1])[path[-1]] = rng.choice([rng.choice(ODD), rng.choice(ODD), elsewhere])
    bodies[index] = _spelled(body)


def _change_shape(rng: random.Random, bodies: Bodies) -> None:
    """An entry is left out, doubled, moved or added."""
    index = rng.randrange(len(bodies))
    body = json.loads(bodies[index])
    path = rng.choice(list(_places(body)))
    parent, key = _at(body, path[:-1]), path[-1]
    how = rng.randrange(4)
    if isinstance(parent, list) and how == 1:
        parent[key:key] = [parent[key]] * rng.choice([1, 2, 1000])
    elif isinstance(parent, list) and how == 2:
        rng.shuffle(parent)
    elif isinstance(parent, dict) and how == 3:
        parent[rng.choice(["x", "self", "\x1b[2K", ""])] = rng.choice(ODD)
    else:
        del parent[key]
    bodies[index] = _spelled(body)


def _change_text(rng: random.Random, bodies: Bodies) -> None:
    """Characters of a body are flipped, cut out, doubled or put in."""
    index = rng.randrange(len(bodies))
    text = bodies[index]
    a, b = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    flipped = chr(ord(text[min(a, len(text) - 1)]) ^ (1 << rng.randrange(7)))
    bodies[index] = rng.choice(
        [
            text[:a] + flipped + text[a + 1 :],
            text[:a] + text[b:],
            text[:b] + text[a:],
            text[:a] + rng.choice(RAW) + text[a:],
            text[:a],
            rng.choice(RAW),
        ]
    )  # fmt: skip


def _change_raw(rng: random.Random, bodies: Bodies) -> None:
    """A value is spelled as no canonical JSON is."""
    index = rng.randrange(len(bodies))
    body = json.loads(bodies[index])
    path = rng.choice(list(_places(body)))
    _at(body, path[:-1])[path[-1]] = "HERE"
    bodies[index] = _spelled(body).replace('"HERE"', rng.choice(RAW))


def _change_blocks(rng: random.Random, bodies: Bodies) -> None:
    """A block is left out, put in twice, moved, or called another kind."""
    a, b = rng.randrange(len(bodies)), rng.randrange(len(bodies))
    how = rng.randrange(5)
    if how == 0:
        del bodies[a]
    elif how == 1:
        bodies.insert(b, bodies[a])
    elif how == 2:
        bodies[a], bodies[b] = bodies[b], bodies[a]
    elif how == 3:
        body = json.loads(bodies[a])
        bodies[a] = _spelled({**body, "kind": json.loads(bodies[b])["kind"]})
    else:
        bodies[a] = _spelled({**json.loads(bodies[b]), **json.loads(bodies[a])})


CHANGES: dict[str, Callable[[random.Random, Bodies], None]] = {
    "value": _change_value,
    "setting": _change_setting,
    "name": _change_all,
    "shape": _change_shape,
    "text": _change_text,
    "spelling": _change_raw,
    "blocks": _change_blocks,
}


def mutants(
    bodies: Sequence[str], key: OperatorKey, seed: int, number: int
) -> Iterator[tuple[str, list[SealedBlock]]]:
    """Ledgers with one to three changes, sealed by the rules: the kind of the last, and blocks."""
    for each in range(number):
        rng = random.Random(f"{seed} {each}")
        changed = list(bodies)
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            kind = rng.choice(list(CHANGES))
            try:
                CHANGES[kind](rng, changed)
            except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # the change before left nothing to change in this way
        yield kind, list(resealed(changed, key))


def resealed(bodies: Sequence[str], key: OperatorKey) -> Iterator[SealedBlock]:
    """Any texts as the blocks of a ledger, with right hashes and signatures."""
    previous = NOTHING_BEFORE
    for index, text in enumerate(bodies):
        link = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
        digest = joined(previous, link)
        yield SealedBlock(
            index=index, previous=previous, body=text, hash=digest, producer=key.public,
            signature=key.sign(bytes.fromhex(digest)),
        )  # fmt: skip
        previous = digest


def write_ledger(path: Path, blocks: Sequence[SealedBlock]) -> None:
    """A ledger's file as anybody can make one."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(
            "CREATE TABLE ledger_meta (schema_version INTEGER);"
            "INSERT INTO ledger_meta VALUES (1);"
            "CREATE TABLE runs (run TEXT PRIMARY KEY, pid INTEGER, host TEXT, since TEXT);"
            "INSERT INTO runs VALUES ('', 1, 'h', 's');"
            'CREATE TABLE blocks (run TEXT, "index" INTEGER, previous TEXT, body TEXT, '
            "hash TEXT, producer TEXT, signature TEXT);"
        )
        rows = [
            ("", b.index, b.previous, b.body.encode(errors="surrogatepass"), b.hash, b.producer,
             b.signature) for b in blocks
        ]  # fmt: skip
        query = "INSERT INTO blocks VALUES (?, ?, ?, CAST(? AS TEXT), ?, ?, ?)"
        database.executemany(query, rows)


def faults_of_verify(blocks: Sequence[SealedBlock], models: Path | None) -> tuple[str, str]:
    """What verifying came to, and what was wrong with it, if anything."""
    try:
        verdict = verify_run(blocks, models=models)
    except Exception as problem:
        return "raised", f"verify_run: {problem!r}"
    told = "\n".join(str(problem) for problem in verdict.problems)
    if not told.replace("\n", "").isprintable():
        return "unprintable", f"verify_run: {told[:200]!r}"
    return ("holds" if verdict.ok else "a difference with its place"), ""


def faults_of_commands(blocks: Sequence[SealedBlock], folder: Path) -> list[str]:
    """What the commands of `flower-relay ledger` did wrong with a run's folder."""
    run = folder / "run"
    (run / "models").mkdir(parents=True, exist_ok=True)
    (run / "ledger.db").unlink(missing_ok=True)
    write_ledger(run / "ledger.db", blocks)
    faults: list[str] = []
    for command in (
        ("verify", run), ("show", run), ("show", run, "--block", 0), ("balance", run),
        ("balance", run, "partition-id-0"), ("lineage", run),
        ("lineage", run, "--svg", folder / "x.svg"), ("export", run, "--out", folder / "out"),
        ("receipt", run, "partition-id-0", "--out", folder / "r.json"),
    ):  # fmt: skip
        result = CliRunner().invoke(app, [str(part) for part in command])
        problem = result.exception
        if problem is not None and not isinstance(problem, RelayError | SystemExit):
            faults.append(f"{command[0]}: {problem!r}")
        if not result.output.replace("\n", "").isprintable():
            faults.append(f"{command[0]}: control characters in {result.output[:200]!r}")
    return faults

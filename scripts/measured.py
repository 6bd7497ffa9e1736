"""Play a published comparison, keep what it comes to, and write the pages from it.

    python scripts/measured.py experiments/comparisons/clean.toml
    python scripts/measured.py experiments/comparisons/clean.toml --again relay

The first plays what is missing (hours; it goes on where it stopped) and stores the results.
The second plays only the cells of some strategies again, by the stored tuning and targets: the
others' rows stay. It needs no folder of finished cells, and takes a folder of its own. With
`--tune` these strategies are tuned anew first, by the same procedure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from flower_relay import __version__  # noqa: E402
from flower_relay.comparison.contests import plain  # noqa: E402
from flower_relay.comparison.files import write_tuning  # noqa: E402
from scripts.evidence import stored  # noqa: E402
from scripts.evidence.__main__ import write_pages  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="a comparison's TOML file")
    parser.add_argument(
        "--again", metavar="STRATEGY", action="append", help="repeatable: play its cells again"
    )
    parser.add_argument("--tune", action="store_true", help="with --again: tune them anew")
    parser.add_argument("--data", help="of the file's worlds, only this one")
    parser.add_argument("--out", type=Path, help="folder of the cells, if not the file's own")
    parser.add_argument(
        "--workers", type=int, default=None, help="processes; by default one a core"
    )
    parser.add_argument(
        "--commit", help="store what --out has, played by this commit; play nothing"
    )
    given = parser.parse_args()
    if given.tune and not given.again:
        parser.error("--tune goes with --again: it says which strategies are tuned anew")
    asked = tomllib.loads(given.file.read_text("utf-8"))
    asked |= {"data": [given.data]} if given.data else {}
    folder = given.out or Path(asked.get("out", f"runs/{given.file.stem}"))
    if given.again:
        asked["strategy"] = given.again
        folder = given.out or Path(f"runs/{given.file.stem}-again-{_commit()[:10]}")
        if not given.tune:
            _take_tuning(given.file.stem, folder, given.again)
    if not given.commit:
        _play(given.file, asked, folder, given.workers)
    played = {"commit": given.commit or _commit(), "version": __version__}
    print(f"stored in {_store(given.file.stem, folder, asked, played, again=bool(given.again))}")
    print(f"pages written: {', '.join(write_pages()) or 'none differs'}")


def _play(file: Path, asked: dict[str, Any], folder: Path, workers: int | None) -> None:
    words = [sys.executable, "-m", "flower_relay.cli", "compare", "run", "--config", str(file)]
    words += [word for s in asked["strategy"] for word in ("--strategy", s)]
    words += [word for d in asked["data"] for word in ("--data", d)]
    words += ["--out", str(folder), *(["--workers", str(workers)] if workers else [])]
    ended = subprocess.run(words, cwd=ROOT, check=False)
    if ended.returncode:
        raise SystemExit(ended.returncode)


def _take_tuning(name: str, folder: Path, strategies: list[str]) -> None:
    """Give a fresh folder the settings that were chosen when the others were tuned."""
    tuned = {*strategies, *map(plain, strategies)}
    known = {key: entry for each in _related(name) for key, entry in each.tuning.items()}
    entries = {
        key: {**entry["chosen"], "tried": [], "cost": {k: entry[k] for k in _COST}}
        for key, entry in known.items()
        if key.split("|")[0] in tuned
    }
    write_tuning(folder, entries)


_COST = ("runs", "client-epochs")


def _related(name: str) -> list[stored.Stored]:
    """This comparison's results, and those whose tuning it shares."""
    return stored.read_all(dict.fromkeys(["clean", name]))


def _store(
    name: str, folder: Path, asked: dict[str, Any], played: dict[str, str], *, again: bool
) -> Path:
    before = stored.read_all([name])
    targets = _targets(name, asked["data"]) if again else None
    found = stored.distilled(name, folder, asked, played, targets)
    if before:
        found = stored.merged(before[0], found)
    return stored.write(replace(found, name=name))


def _targets(name: str, data: list[str]) -> dict[str, float | None]:
    """The stored targets of some worlds, which the cells that are played again are held to."""
    known = {key: target for each in _related(name) for key, target in each.targets.items()}
    return {key: target for key, target in known.items() if key.split("|")[0] in data}


def _commit() -> str:
    ran = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


if __name__ == "__main__":
    main()

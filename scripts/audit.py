"""Known vulnerabilities among what is installed here, without a network.

    git clone --depth 1 https://github.com/pypa/advisory-database
    python scripts/audit.py advisory-database

reads a copy of the Python Packaging Advisory Database (OSV records as YAML). Exits with 1 if an
advisory names a version that is installed; where there is no copy nothing is audited, and it
says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RECORDS = "PYSEC-*.yaml"


@dataclass(frozen=True)
class Finding:
    """An advisory that names what is installed."""

    package: str
    version: str
    advisory: str
    also: str
    fixed: str

    def __str__(self) -> str:
        cure = f"fixed in {self.fixed}" if self.fixed else "no fixed version is known"
        return f"{self.package} {self.version}: {self.advisory} ({self.also}); {cure}"


def installed() -> dict[str, str]:
    """Versions of the installed distributions, by canonical name."""
    return {canonicalize_name(d.metadata["Name"]): d.version for d in distributions()}


def findings(database: Path, packages: dict[str, str]) -> Iterator[Finding]:
    """Advisories of a database that name one of these packages at its version."""
    for name, version in sorted(packages.items()):
        for path in sorted((database / "vulns" / name).glob(_RECORDS)):
            record = yaml.load(path.read_text(), _LOADER)
            if "withdrawn" in record:
                continue
            for affected in record.get("affected", []):
                if canonicalize_name(affected["package"]["name"]) == name:
                    yield from _named(record, affected, name, version)


def _named(
    record: dict[str, Any], affected: dict[str, Any], name: str, version: str
) -> Iterator[Finding]:
    ranges = [r["events"] for r in affected.get("ranges", []) if r["type"] == "ECOSYSTEM"]
    if version in affected.get("versions", []) or any(_within(version, r) for r in ranges):
        fixed = ", ".join(event["fixed"] for r in ranges for event in r if "fixed" in event)
        also = ", ".join(record.get("aliases", [])) or "no other name"
        yield Finding(name, version, record["id"], also, fixed)


def _within(version: str, events: list[dict[str, str]]) -> bool:
    """Whether a version lies in a range, by OSV's rule: the last event up to it decides."""
    inside = False
    try:
        mine = Version(version)
        for event in sorted(events, key=lambda e: Version(next(iter(e.values())))):
            [(kind, at)] = event.items()
            if kind == "last_affected":
                inside &= mine <= Version(at)
            elif mine >= Version(at):
                inside = kind == "introduced"
    except InvalidVersion:
        return False  # no release of the public index; its `versions` decide
    return inside


def main(words: list[str] | None = None) -> int:
    """Audit, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("database", type=Path, nargs="?", help="a copy of pypa/advisory-database")
    options = parser.parse_args(words)
    if options.database is None or not (options.database / "vulns").is_dir():
        print(
            "Dependencies were NOT audited: there is no copy of the Python advisory database "
            f"({options.database or 'none named'}). Clone pypa/advisory-database, and name its "
            "folder: make audit ADVISORIES=FOLDER"
        )
        return 0
    packages = installed()
    found = list(findings(options.database, packages))
    records = sorted((options.database / "vulns").glob(f"*/{_RECORDS}"))
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(found)} findings: {len(packages)} packages against {len(records)} advisories.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""The audit of dependencies, against a small advisory database."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from audit import findings, main  # noqa: E402


def advise(database: Path, number: int, package: str, *events: dict[str, str], **more: str) -> None:
    folder = database / "vulns" / package
    folder.mkdir(parents=True, exist_ok=True)
    affected = {
        "package": {"name": package, "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
    }
    record = {"id": f"PYSEC-2026-{number}", "aliases": ["CVE-1"], "affected": [affected], **more}
    (folder / f"PYSEC-2026-{number}.yaml").write_text(yaml.safe_dump(record))


@pytest.mark.parametrize(
    ("version", "named"),
    [
        ("0.9", []),
        ("1.0", [1]),
        ("1.4.2", [1]),
        ("1.5", []),
        ("2.0rc1", []),
        ("2.0", [1]),
        ("2.1", [1]),
        ("2.1.1", []),
    ],
)
def test_a_version_is_named_within_an_advisorys_ranges_only(
    tmp_path: Path, version: str, named: list[int]
) -> None:
    advise(
        tmp_path, 1, "model-zoo",
        {"introduced": "1.0"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"last_affected": "2.1"},
    )  # fmt: skip
    advise(tmp_path, 2, "model-zoo", {"introduced": "0"}, withdrawn="2026-01-01T00:00:00Z")
    advise(tmp_path, 3, "other", {"introduced": "0"})
    found = [one.advisory for one in findings(tmp_path, {"model-zoo": version})]
    assert found == [f"PYSEC-2026-{number}" for number in named]


def test_what_is_installed_is_audited_and_a_finding_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    advise(tmp_path, 1, "pytest", {"introduced": "0"}, {"fixed": "9999.1"})
    assert main([str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert f"pytest {pytest.__version__}: PYSEC-2026-1 (CVE-1); fixed in 9999.1" in said
    advise(tmp_path, 1, "pytest", {"introduced": "0"}, {"fixed": "0.1"})
    assert main([str(tmp_path)]) == 0


def test_without_a_database_it_says_that_nothing_was_audited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([], [str(tmp_path / "nowhere")]):
        assert main(words) == 0
        assert "NOT audited" in capsys.readouterr().out

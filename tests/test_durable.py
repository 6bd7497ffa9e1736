"""Files that are there whole or not at all, also where several write the same one at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from flower_relay.files.durable import discard_unfinished

WRITER = """
import sys
from pathlib import Path
from flower_relay.files.durable import write_whole
for _ in range(200):
    write_whole(Path(sys.argv[1]), sys.argv[2].encode() * 5000, b"end")
"""


def test_several_writers_of_one_file_leave_it_whole_at_every_instant(tmp_path: Path) -> None:
    path = tmp_path / "file"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter]) for letter in "ab"
    ]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            found = path.read_bytes()
            assert found in (b"a" * 5000 + b"end", b"b" * 5000 + b"end")
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_writer_left_of_a_file_goes_and_nothing_else_does(tmp_path: Path) -> None:
    for name in ("cell.json", "cell.json.0123.part", "other.json.4567.part", "cell.json.bak"):
        (tmp_path / name).write_text("x")
    discard_unfinished(tmp_path / "cell.json")
    left = sorted(each.name for each in tmp_path.iterdir())
    assert left == ["cell.json", "cell.json.bak", "other.json.4567.part"]

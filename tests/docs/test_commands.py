"""Every command that the pages name exists, with every option: of Mien, make, pip's extras and the benchmarks."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from mien.cli.app import app

from .pages import PAGES, ROOT, Block, Command, blocks, commands, inline_code

if not (ROOT / "docs" / "start.md").is_file():
    pytest.skip("docs/ is not here: this is no checkout", allow_module_level=True)

MIEN: Any = typer.main.get_command(app)
OF_OTHERS = {
    *("--no-build-isolation", "--no-deps", "--group"),  # pip
    *("--cpus", "--tmpfs"),  # docker, whose image is called mien, so that `mien mien serve` runs a command in it
    *("--max-restarts", "--nproc_per_node"),  # torchrun
    *("--help", "--version", "--install-completion"),
}
"""Options in sentences that are neither a command's nor a script's."""


def lines(program: str) -> list[tuple[Block, Command]]:
    """The commands of all pages that run a program, its name first."""
    found = []
    for page in PAGES:
        for block in blocks(page):
            for command in commands(block):
                words = command.words
                if words[0] == "torchrun" and "mien" in words:
                    words = words[words.index("mien") :]
                if words[0] == program:
                    found.append((block, Command(words, command.stdin)))
    assert found, program
    return found


def shown(pairs: list[tuple[Block, Command]]) -> list[Any]:
    return [pytest.param(block, command, id=f"{block} {' '.join(command.words)[:60]}") for block, command in pairs]


def resolved(words: list[str]) -> tuple[Any, str, list[str]]:
    """A command of Mien's, its name and its arguments; groups, as `mien data`, are gone down."""
    command, name = MIEN, "mien"
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"there is no command `{name} {words[0]}`"
        command, name, words = command.commands[words[0]], f"{name} {words[0]}", words[1:]
    return command, name, words


@pytest.mark.parametrize(("block", "command"), shown(lines("mien")))
def test_mien_takes_the_command_line(block: Block, command: Command) -> None:
    parsed, name, arguments = resolved(list(command.words[1:]))
    if parsed is MIEN:
        assert set(arguments) <= options_of(MIEN)
    else:
        parsed.make_context(name, arguments)  # raises on what it does not take


def options_of(command: Any) -> set[str]:
    own = {word for parameter in command.params for word in (*parameter.opts, *parameter.secondary_opts)}
    return own | ({"--help", "-h", "--install-completion", "--show-completion"})


def all_options(command: Any = MIEN) -> set[str]:
    return options_of(command).union(*(all_options(one) for one in getattr(command, "commands", {}).values()))


def test_commands_in_sentences_exist_with_their_options() -> None:
    wrong = []
    for page in PAGES:
        for code in inline_code(page):
            words = re.split(r"[\s=]+", re.sub(r"^mien mien ", "mien ", code.split("|")[0]))
            if words[0] != "mien" or not re.fullmatch(r"[a-z]+", (words[1:] or ["?"])[0]):
                continue
            command, _, arguments = resolved(words[1:])
            named = {word.strip("[]") for word in arguments if word.strip("[]").startswith("-") and len(word) > 1}
            wrong += [f"{page.name}: {code}" for word in named if word not in options_of(command)]
    assert wrong == []


def test_options_in_sentences_exist() -> None:
    """An option of any command of Mien's, or of one of the project's scripts."""
    scripts = "".join(
        path.read_text(encoding="utf-8") for name in ("benchmarks", "scripts") for path in (ROOT / name).glob("*.py")
    )
    known = all_options() | OF_OTHERS | set(re.findall(r'"(--[a-z][\w-]*)"', scripts))
    named = {
        (page.name, option)
        for page in PAGES
        for code in inline_code(page)
        for option in re.findall(r"(?:^|\s)(--[a-z][\w-]*)", code)
    }
    assert len(named) > 50
    assert [f"{page}: {option}" for page, option in sorted(named) if option not in known] == []


def makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def test_targets_of_make_exist() -> None:
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile(), re.MULTILINE)[1].split())  # type: ignore[index]
    named = {word for _, command in lines("make") for word in command.words[1:] if "=" not in word}
    named |= {code.split()[1] for page in PAGES for code in inline_code(page) if re.match(r"make [a-z]", code)}
    assert named <= targets
    variables = {word.split("=")[0] for _, command in lines("make") for word in command.words[1:] if "=" in word}
    assert variables <= set(re.findall(r"^(\w+) \?=", makefile(), re.MULTILINE)) | {"BENCH", "TEST"}


def test_extras_and_groups_of_pip_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras: set[str] = set()
    groups: set[str] = set()
    for page in PAGES:
        text = " ".join(page.read_text(encoding="utf-8").split())
        for found in re.findall(r"pip install [^`#]*?'(?:\.|mien|[^' ]*\.whl)\[([a-z,]+)\]'|`\[([a-z]+)\]`", text):
            extras |= set((found[0] or found[1]).split(","))
        groups |= set(re.findall(r"--group (\w+)", text))
    assert {"train", "video", "ray", "heic"} <= extras <= set(project["project"]["optional-dependencies"])
    assert {"teacher"} <= groups <= set(project["dependency-groups"])


def script_lines() -> Iterator[tuple[str, list[str]]]:
    """Scripts of this project that the pages run, in blocks and in sentences, with their options."""
    for page in PAGES:
        named = [list(command.words) for block in blocks(page) for command in commands(block)]
        named += [code.split() for code in inline_code(page)]
        for words in named:
            if (
                len(words) > 1
                and words[0] in ("python", "python3")
                and re.match(r"(benchmarks|scripts)/[a-z]", words[1])
            ):
                own = words[2 : words.index("--")] if "--" in words else words[2:]
                yield words[1], [word for word in own if word.startswith("--") and word != "--help"]


def test_scripts_exist_with_their_options() -> None:
    found = list(script_lines())
    assert len(found) > 10
    for name, options in found:
        path = ROOT / name
        assert path.is_file(), name
        source = path.read_text(encoding="utf-8")
        imported = re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)
        beside = "".join(
            other.read_text(encoding="utf-8") for one in imported if (other := path.with_name(f"{one}.py")).is_file()
        )
        missing = [option for option in options if f'"{option}"' not in source + beside]
        assert missing == [], f"{name} does not take {missing}"

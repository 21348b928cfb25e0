"""What holds for the options of every command: true defaults, the same letters, light help, commands of one screen."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from mien.analyzer import load
from mien.cli.app import app
from mien.drawing.style import Style
from mien.options import AnalyzerOptions
from mien.service.settings import Settings

SOURCE = Path(__file__).parents[2] / "src" / "mien" / "cli"
HEAVY = {"numpy", "cv2", "PIL", "onnxruntime", "torch", "pyarrow", "fastapi", "av", "pandas", "matplotlib"}
WRITING = (
    "predict",
    "explain",
    "webcam",
    "report",
    "annotate",
    "train",
    "distill",
    "evaluate",
    "errors",
    "export",
    "page",
    "data pack",
    "data get ferplus",
    "data get fer2013",
)


def all_commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from all_commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


COMMANDS = dict(all_commands(typer.main.get_command(app)))


def defaults(function: Any) -> dict[str, Any]:
    return {name: p.default for name, p in signature(function).parameters.items() if p.default is not Parameter.empty}


def library_defaults(command: str) -> dict[str, Any]:
    """What the library does where a command's option is not given, by the option's name."""
    options = AnalyzerOptions()
    known = {name: getattr(options, name) for name in AnalyzerOptions.__slots__}
    known |= defaults(load) | defaults(Style.of)
    if command == "serve":
        settings = Settings()
        known |= {name: getattr(settings, name) for name in Settings.__slots__}
    elif command == "annotate":
        annotate = pytest.importorskip("mien.annotate")
        chosen = annotate.Options()
        known |= {name: getattr(chosen, name) for name in ("image_column", "id_column", "sample", "limit", "shard")}
        engine = annotate.Engine()
        known |= {name: getattr(engine, name) for name in ("workers", "address", "gpus")}
        known |= {"engine": engine.name, "planned": False}
    elif command == "export":
        pytest.importorskip("torch")
        from mien.training.export import export

        known |= defaults(export)
        known["model_version"] = known["version"]
    return known


@pytest.mark.parametrize("command", COMMANDS)
def test_defaults_are_those_of_the_library(command: str) -> None:
    known = library_defaults(command)
    for parameter in COMMANDS[command].params:
        if parameter.name in known and not parameter.required:
            assert parameter.default == known[parameter.name], f"{command}: {parameter.name}"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_the_true_defaults(command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "250", "TERM": "dumb"}).stdout
    text = " ".join(shown.replace("│", " ").split())
    for parameter in COMMANDS[command].params:
        in_words = parameter.show_default
        if isinstance(in_words, str):
            assert f"[default: ({in_words})]" in text
        elif parameter.default is not None and not isinstance(parameter.default, bool) and parameter.default != "":
            assert f"[default: {parameter.default}]" in text


@pytest.mark.parametrize("command", WRITING)
def test_every_command_that_writes_takes_o_and_out(command: str) -> None:
    spellings = [parameter.opts for parameter in COMMANDS[command].params]
    assert [opts for opts in spellings if {"-o", "--out"} <= set(opts)]


def test_every_command_that_reads_labelled_faces_takes_a_label_map() -> None:
    reading = {name for name, command in COMMANDS.items() if any(p.metavar == "DATA" for p in command.params)}
    assert {"data check", "data pack", "train", "distill", "evaluate", "errors", "export"} <= reading
    options = [next(p for p in COMMANDS[name].params if p.opts == ["--labels"]) for name in reading]
    assert len({(option.help, option.metavar) for option in options}) == 1


def test_a_letter_means_the_same_everywhere() -> None:
    meanings: dict[str, set[str]] = {}
    for command in COMMANDS.values():
        for parameter in command.params:
            for letter in (opt for opt in parameter.opts if len(opt) == 2):
                names = {opt for opt in parameter.opts if opt.startswith("--")}
                meanings[letter] = meanings.get(letter, names) & names
    assert meanings == {"-o": {"--out"}, "-j": {"--workers"}}


def test_help_is_light() -> None:
    code = f"""
import contextlib, sys
from mien.cli.app import app
for command in {["", *COMMANDS]!r}:
    with contextlib.suppress(SystemExit):
        app([*command.split(), "--help"])
print(*sys.modules, file=sys.stderr)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.count("Usage: ") == 1 + len(COMMANDS)
    assert not HEAVY & set(run.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--data", "gone"],
        ["train", "--data", ".", "--init", "gone.onnx"],
        ["train", "--data", ".", "--out", "gone", "--resume"],
        ["distill", "gone", "--data", "."],
        ["distill", ".", "--data", "gone"],
        ["export", "gone", "-o", "gone.onnx"],
        ["export", ".", "-o", "gone.onnx", "--data", "gone"],
        ["evaluate", "gone.safetensors", "--data", "."],
        ["evaluate", ".", "--data", "gone"],
        ["errors", "--model", "gone.safetensors", "--data", ".", "-o", "page.html"],
    ],
)
def test_a_missing_file_is_reported_before_pytorch_is_imported(arguments: list[str], tmp_path: Path) -> None:
    code = (
        f"import sys; sys.argv = ['mien', *{arguments!r}]\nfrom mien.cli import main\ntry:\n    main()\n"
        "finally:\n    print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1
    assert "gone" in run.stderr
    assert "torch" not in run.stdout.split()


def test_functions_are_no_longer_than_a_screen() -> None:
    """Commands have a parameter per option; whatever else they call has six at most."""
    long: list[str] = []
    many: list[str] = []
    commands = {f"{command.callback.__module__}.{command.callback.__name__}" for command in COMMANDS.values()}
    for path in sorted(SOURCE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            name = f"mien.cli.{path.stem}.{node.name}"
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if (node.end_lineno or 0) - node.lineno >= 60:
                long.append(name)
            if name not in commands and len([one for one in taken if one.arg != "self"]) > 6:
                many.append(name)
    assert (long, many) == ([], [])

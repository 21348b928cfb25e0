"""`mien info`: what is installed here, which model and detector are used, and how int8 runs on this CPU."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer

from mien.cli import console, options
from mien.errors import MienError


def info(
    *,
    model: options.Model = None,
    detector: options.Detector = "auto",
    detector_model: options.DetectorFile = None,
    as_json: options.AsJson = False,
) -> None:
    """Show versions, the model's card, the detector in use and why, the CPU and how int8 runs on it, and threads.

    If the model or the detector cannot be loaded, prints why, shows the rest, and exits with 1.
    """
    import onnxruntime

    facts: dict[str, Any] = {
        "versions": _versions(),
        "model": _or_error(_model, model),
        "detector": _or_error(_detector, detector, detector_model),
        "providers": onnxruntime.get_available_providers(),
        "threads": _cpus(),
        "int8": _int8(),
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        from rich.box import SIMPLE
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in _lines(facts):
            table.add_row(Text(name), Text(value))
        console.out().print(table)
    if "error" in facts["model"] or "error" in facts["detector"]:
        raise typer.Exit(1)


def _versions() -> dict[str, str]:
    import platform

    import cv2
    import numpy as np
    import onnxruntime
    import PIL

    import mien

    return {
        "mien": mien.__version__,
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "platform": platform.platform(),
    }


def _or_error(facts_of: Callable[..., Mapping[str, Any]], *arguments: Any) -> dict[str, Any]:
    try:
        return dict(facts_of(*arguments))
    except MienError as error:
        return {"error": console.as_options(str(error))}


def _model(model: str | None) -> dict[str, Any]:
    """The card of the model that would be used, and its file."""
    from hashlib import sha256

    from mien.runtime.classifier import Classifier
    from mien.runtime.weights import find_model

    path = find_model(model)
    card = Classifier(path).card
    content = path.read_bytes()
    values = json.loads(card.to_json())
    del values["schema"]
    return {
        "id": card.id,
        **values,
        "file": str(path),
        "bytes": len(content),
        "sha256": sha256(content).hexdigest(),
    }


def _detector(name: str, model: Path | None) -> dict[str, Any]:
    """The detector that would be used, its file, and why it is this one."""
    from mien.runtime.detectors import load_detector
    from mien.runtime.weights import find_yunet, vendored_yunet

    found = load_detector(name, model=model)
    path = (model or find_yunet()) if found.name == "yunet" else None
    if model is not None:
        why = "its file was named"
    elif name != "auto":
        why = "asked for"
    elif path is None:
        why = "this package was built without YuNet, which is quicker: `mien detector yunet` fetches it"
    else:
        why = "it came with the package" if path == vendored_yunet() else "it was fetched into the user's cache"
    return {"name": found.name, "file": None if path is None else str(path), "why": why}


def _cpus() -> dict[str, int | None]:
    import os

    from mien.cpus import usable_cpus

    return {"usable": usable_cpus(), "machine": os.cpu_count()}


def _int8() -> dict[str, Any]:
    """How an int8 model runs here, why, and the CPU's flags that decide it."""
    from mien.runtime.int8_backend import choose, cpu_flags

    chosen = choose(cpu_flags())
    return {"path": chosen.path, "why": chosen.why, "flags": sorted(cpu_flags())}


def _lines(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The facts as rows of the table."""
    lines = [(name, text) for name, text in facts["versions"].items()]
    model, detector = facts["model"], facts["detector"]
    if "error" in model:
        lines.append(("model", model["error"]))
    else:
        lines += [
            ("model", model["id"]),
            ("file", f"{model['file']} ({model['bytes'] / 1e6:.1f} MB, sha256 {model['sha256'][:12]})"),
            ("classes", ", ".join(model["classes"])),
            ("architecture", _pairs(model["architecture"])),
            ("temperature", f"{model['temperature']:g}"),
            ("trained on", _pairs(model["data"])),
            *((f"metrics {name}", _pairs(figures)) for name, figures in _own_first(model)),
            ("license", model["licence"]),
            ("source", model["source"] or "-"),
        ]
    if "error" in detector:
        lines.append(("detector", detector["error"]))
    else:
        lines.append(("detector", f"{detector['name']}: {detector['why']}"))
        if detector["file"]:
            lines.append(("its file", detector["file"]))
    lines.append(("providers", ", ".join(facts["providers"])))
    lines.append(("CPU flags", ", ".join(facts["int8"]["flags"]) or "-"))
    unused = "" if model.get("precision", "int8") == "int8" else f"; not used: this model is {model['precision']}"
    lines.append(("int8", f"{facts['int8']['path']}: {facts['int8']['why']}{unused}"))
    lines.append(("threads", f"{facts['threads']['usable']} usable of {facts['threads']['machine']}"))
    return lines


def _own_first(model: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The model's figures, those by the labels that it learned from first."""
    own = f"{model['data'].get('protocol')}/"
    return sorted(model["metrics"].items(), key=lambda item: not item[0].startswith(own))


def _pairs(values: Any) -> str:
    """A mapping on one line, its numbers short, without nested mappings."""
    if not isinstance(values, Mapping):
        return str(values)
    return (
        ", ".join(f"{name} {_short(value)}" for name, value in values.items() if not isinstance(value, Mapping)) or "-"
    )


def _short(value: Any) -> str:
    """A number, or the numbers of a list, to four digits; a hash to twelve; what a list of files names."""
    if isinstance(value, list | tuple):
        return (" and " if value and isinstance(value[0], Mapping) else "-").join(map(_short, value))
    if isinstance(value, Mapping):
        return " ".join(map(_short, value.values()))
    if isinstance(value, str) and _HASH.fullmatch(value):
        return value[:12]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


_HASH = re.compile("[0-9a-f]{40,}")

"""What speed.py measured, as tables: medians of rounds, and ratios to Mien within rounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from output import markdown_table
from peers.room import DISTURBED

BEGIN: Final = "<!-- measured by benchmarks/speed.py: begin -->"
END: Final = "<!-- measured by benchmarks/speed.py: end -->"

LABELS: Final = {
    "mien": "**Mien**",
    "mien predict": "**Mien**, `mien predict photo.jpg`",
    "mien, Haar": "Mien with Haar",
    "fer": "fer",
    "fer, batched": "fer's network, as a batch",
    "alexnet-fp32": "Plain AlexNet 227, float32",
    "alexnet-int8": "Plain AlexNet 227, int8",
    "vgg13": "FER+'s VGG13",
    "efficientnet-b0": "EfficientNet-B0 224",
}
ONE, TWO, MANY = "1 face, 1 thread", "1 face, 2 threads", "64 faces, 2 threads"

Rounds = Mapping[str, Any]
"""One row of a measurement: "seconds" (and perhaps "bytes"), a value for each round."""


def middle(row: Rounds, quantity: str = "seconds") -> float:
    """The median of the rounds."""
    return float(statistics.median(row[quantity]))


def ratio(row: Rounds, base: Rounds, quantity: str = "seconds") -> float:
    """How many times the base it is: the median over rounds of the ratio within each."""
    return float(statistics.median(a / b for a, b in zip(row[quantity], base[quantity], strict=True)))


def measured(results: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """What a section measured; nothing where it was left out."""
    found: Mapping[str, Any] = results.get("sections", {}).get(section, {}).get("measured", {})
    return found


def limits(results: Mapping[str, Any]) -> dict[tuple[int, int], tuple[float, float]]:
    """By threads and faces: the int8 peak in multiply-adds a second, and Mien's time as a multiple of its limit.

    The peak of a round is the best candidate's; the limit is Mien's multiply-adds over that.
    """
    found = {}
    section = measured(results, "limit")
    for threads in (1, 2):
        rows = section.get(str(threads), {})
        work = {name: count for name, count in section.get("multiply_adds", {}).items() if name in rows}
        peaks = [max(rates) for rates in zip(*([work[n] / s for s in rows[n]["seconds"]] for n in work), strict=True)]
        for faces in (1, 64):
            if peaks and f"mien, {faces}" in rows:
                needed = faces * results["networks"]["mien"]["multiply_adds"]
                times = rows[f"mien, {faces}"]["seconds"]
                over = statistics.median(s * peak / needed for s, peak in zip(times, peaks, strict=True))
                found[threads, faces] = statistics.median(peaks), over
    return found


def disturbed(results: Mapping[str, Any], section: str) -> tuple[int, int]:
    """How many bursts of a section other programs disturbed, and how many there were."""

    def rows(values: Any) -> list[float]:
        if not isinstance(values, Mapping):
            return []
        return [*values.get("others", []), *(cores for value in values.values() for cores in rows(value))]

    others = rows(measured(results, section))
    return sum(cores > DISTURBED for cores in others), len(others)


def aims(results: Mapping[str, Any]) -> list[list[str]]:
    """What was aimed at, and what was measured: rows of what, aim, measured, and whether it is met."""
    rows: list[list[str]] = []

    def row(what: str, most: float, value: float | None, unit: str) -> None:
        if value is not None:
            met = "yes" if value <= most else f"no, {100 * (value / most - 1):.1f} % over"
            rows.append([what, f"at most {most:g}{unit}", f"{value:.3g}{unit}", met])

    def against(group: Mapping[str, Any], name: str, base: str) -> float | None:
        return ratio(group[name], group[base]) if name in group and base in group else None

    single, many = (measured(results, "classifier").get(key, {}) for key in (TWO, MANY))
    start, sizes = measured(results, "start"), measured(results, "size")
    row("shipped model file", 5, results["networks"]["mien"]["file_bytes"] / 1e6, " MB")
    row("one face, 2 threads, to plain AlexNet in float32", 0.08, against(single, "mien", "alexnet-fp32"), " times")
    row("one face, 2 threads, to EfficientNet-B0", 0.15, against(single, "mien", "efficientnet-b0"), " times")
    row("64 faces, 2 threads, to plain AlexNet in float32", 0.1, against(many, "mien", "alexnet-fp32"), " times")
    astronaut = measured(results, "pictures").get("astronaut", {})
    row("astronaut, detect and classify, to fer", 0.125, against(astronaut, "mien", "fer"), " times")
    row("cold start by API, to fer", 0.12, against(start, "mien", "fer"), " times")
    row("cold start of `mien predict`, to the API's", 1.5, against(start, "mien predict", "mien"), " times")
    row("peak memory of that process", 160, middle(start["mien"], "bytes") / 1e6 if "mien" in start else None, " MB")
    row("install size", 400, sizes["mien"]["bytes"] / 1e6 if "mien" in sizes else None, " MB")
    for (threads, faces), (_, over) in limits(results).items():
        what = f"classifier to its int8 limit, {plural(faces, 'face')}, {plural(threads, 'thread')}"
        row(what, 2, over, " times")
    return rows


def to_markdown(results: Mapping[str, Any]) -> str:
    """All tables, for the docs."""
    blocks = [
        _machine(results),
        _titled("What was aimed at", ["what", "aim", "measured", "met"], aims(results)),
        _classifier(results),
        _pictures(results),
        _start(results),
        _size(results),
        _limit(results),
        [f"- Absent: {name}: {reason}." for name, reason in results["absent"].items()],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def replace_tables(text: str, tables: str) -> str:
    """A document with the tables between its two marker lines. Raises ValueError where it lacks them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the lines {BEGIN!r} and {END!r} in the document")
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"


def plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _machine(results: Mapping[str, Any]) -> list[str]:
    machine, sections = results["machine"], results["sections"]
    flags = ", ".join(machine.get("flags", [])) or "none of interest"
    dates = sorted({section["date"] for section in sections.values()})
    rounds = sorted({section["rounds"] for section in sections.values()})
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores ({machine['architecture']}; {flags}), {machine['system']}; "
        f"{' and '.join(dates)}; rounds: {' or '.join(map(str, rounds))}.",
        "",
    ]
    for name in sections:
        count, bursts = disturbed(results, name)
        if count:
            lines[0] += f" Other programs used more than {DISTURBED} cores in {count} of {bursts} bursts of `{name}`."
    for name, versions in results["versions"].items():
        lines.append(f"- `{name}`: " + ", ".join(f"{package} {version}" for package, version in versions.items()))
    return lines


def _classifier(results: Mapping[str, Any]) -> list[str]:
    groups = measured(results, "classifier")
    one, two, many = (groups.get(key, {}) for key in (ONE, TWO, MANY))
    rows = []
    for name in _ordered([*one, *two, *many]):
        network = results["networks"].get(name)
        figures = ["", "", ""]
        if network:
            figures = [
                f"{network['parameters'] / 1e6:.1f} M",
                f"{network['multiply_adds'] / 1e6:,.0f} M",
                f"{network['file_bytes'] / 1e6:.1f} MB",
            ]
        rate = f"{64 / middle(many[name]):,.0f}" if name in many else ""
        slower = _times(many, name)
        rows.append([LABELS[name], *figures, _ms(one, name), _ms(two, name), _times(two, name), rate, slower])
    heads = [
        "network",
        "parameters",
        "multiply-adds",
        "file",
        "1 face, 1 thread, ms",
        "1 face, 2 threads, ms",
        "to Mien",
    ]
    return _titled("The classifier alone", [*heads, "64 faces, 2 threads, faces/s", "to Mien"], rows)


def _pictures(results: Mapping[str, Any]) -> list[str]:
    groups = measured(results, "pictures")
    one, many = groups.get("astronaut", {}), groups.get("group", {})
    rows = []
    for name in _ordered([*one, *many]):
        cells = []
        for group in (one, many):
            cells += [_ms(group, name), str(group[name]["faces"]) if name in group else "", _times(group, name)]
        rows.append([LABELS[name], *cells])
    heads = ["tool", "astronaut 512x512, ms", "faces", "to Mien", "frame 1280x720, ms", "faces", "to Mien"]
    return _titled("Detect and classify", heads, rows)


def _start(results: Mapping[str, Any]) -> list[str]:
    group = measured(results, "start")
    rows = []
    for name in _ordered(group):
        low, high = min(group[name]["seconds"]), max(group[name]["seconds"])
        seconds = f"{middle(group[name]):.3g} ({low:.3g} to {high:.3g})"
        memory = f"{middle(group[name], 'bytes') / 1e6:.0f}"
        rows.append([LABELS[name], seconds, _times(group, name), memory, _times(group, name, "bytes")])
    heads = ["program", "start to first answer, s", "to Mien", "peak memory, MB", "to Mien"]
    return _titled("Cold start and memory", heads, rows)


def _size(results: Mapping[str, Any]) -> list[str]:
    sizes = measured(results, "size")
    if not sizes:
        return []
    rows = []
    names = {"mien": "`pip install mien`", "fer": "fer", "bare": "onnxruntime and OpenCV alone"}
    for name, entry in sizes.items():
        ordered = sorted(entry["packages"].items(), key=lambda item: (item[0] == "other", -item[1]))
        where = ", ".join(f"{package} {size / 1e6:.0f}" for package, size in ordered)
        base = sizes["mien"]["bytes"] if "mien" in sizes else 0
        rows.append(
            [names[name], f"{entry['bytes'] / 1e6:,.0f}", f"{entry['bytes'] / base:.2f}" if base else "", where]
        )
    return _titled("Install size", ["environment", "MB", "to Mien", "where it goes, MB"], rows)


def _limit(results: Mapping[str, Any]) -> list[str]:
    rows = [
        [str(threads), str(faces), f"{peak / 1e9:,.0f}", f"{over:.2f}"]
        for (threads, faces), (peak, over) in limits(results).items()
    ]
    heads = ["threads", "faces at once", "int8 peak, G multiply-adds/s", "Mien's time to its limit"]
    return _titled("The limit", heads, rows)


def _ordered(names: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Each name once, in the order of LABELS."""
    return [name for name in LABELS if name in names]


def _ms(group: Mapping[str, Any], name: str) -> str:
    if name not in group:
        return ""
    low, high = min(group[name]["seconds"]), max(group[name]["seconds"])
    return f"{middle(group[name]) * 1e3:.3g} ({low * 1e3:.3g} to {high * 1e3:.3g})"


def _times(group: Mapping[str, Any], name: str, quantity: str = "seconds") -> str:
    if name not in group or "mien" not in group:
        return ""
    return f"{ratio(group[name], group['mien'], quantity):.3g}"


def _titled(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    return [f"### {title}", "", *markdown_table(heads, rows).splitlines()]

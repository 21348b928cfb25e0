from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("skimage.data")
pytest.importorskip("matplotlib")
speed = pytest.importorskip("speed", reason="benchmarks/ is not there")
chart = pytest.importorskip("speed_chart")
tables = pytest.importorskip("speed_tables")
environments = pytest.importorskip("peers.environments")
graphs = pytest.importorskip("peers.graphs")
pictures = pytest.importorskip("peers.pictures")
room = pytest.importorskip("peers.room")
worker = pytest.importorskip("peers.worker")


def row(*seconds: float, faces: int = 1, **others: Any) -> dict[str, Any]:
    return {"seconds": list(seconds), "faces": faces, **others}


@pytest.fixture
def results() -> dict[str, Any]:
    """Two rounds on a machine that was half as quick in the second."""
    classifier = {
        "1 face, 1 thread": {"mien": row(0.001, 0.002), "fer": row(0.0005, 0.001)},
        "1 face, 2 threads": {
            "mien": row(0.001, 0.002),
            "alexnet-fp32": row(0.02, 0.04),
            "efficientnet-b0": row(0.005, 0.01),
        },
        "64 faces, 2 threads": {
            "mien": row(0.064, 0.128),
            "fer, batched": row(0.032, 0.064),
            "alexnet-fp32": row(0.64, 1.28),
        },
    }
    limit = {
        "multiply_adds": {"conv": 4_000, "matrix": 6_000},
        "1": {"conv": row(1.0, 2.0), "matrix": row(2.0, 4.0), "mien, 1": row(0.5, 1.0), "mien, 64": row(24.0, 48.0)},
    }
    measured = {
        "classifier": classifier,
        "pictures": {
            "astronaut": {"mien": row(0.004, 0.008), "fer": row(0.04, 0.04)},
            "group": {"mien": row(0.01, 0.01, faces=6)},
        },
        "start": {
            "mien": row(0.2, 0.2, bytes=[120e6, 130e6]),
            "mien predict": row(0.5, 0.5, bytes=[140e6, 140e6]),
            "fer": row(3.0, 4.0, bytes=[600e6, 600e6]),
        },
        "size": {"mien": {"bytes": 390_000_000, "packages": {"numpy": 200_000_000, "other": 190_000_000}}},
        "limit": limit,
    }
    cost = {"parameters": 3_000_000, "multiply_adds": 1_000, "file_bytes": 3_300_000}
    return {
        "machine": {"system": "Linux", "architecture": "x86_64", "cpu": "Some CPU", "cores": 2, "flags": ["avx2"]},
        "versions": {"mien": {"python": "3.11.7", "mien": "9.9"}},
        "networks": {"mien": cost, "alexnet-fp32": cost},
        "sections": {name: {"date": "2026-01-02", "rounds": 2, "measured": one} for name, one in measured.items()},
        "absent": {"vgg13": "no space left"},
    }


def section_of(markdown: str, title: str) -> list[list[str]]:
    """The cells of the rows of the table below a title."""
    lines = markdown.split(f"### {title}\n\n")[1].split("\n\n", maxsplit=1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_a_ratio_is_taken_within_rounds() -> None:
    slow, quick = row(1.0, 10.0, 100.0), row(0.5, 5.0, 1.0)
    assert tables.ratio(slow, quick) == 2  # of 2, 2, 100; the medians' would be 10
    assert tables.middle(slow) == 10
    assert tables.ratio(row(1.0, bytes=[30]), row(1.0, bytes=[20]), "bytes") == 1.5


def test_the_limit_is_what_the_best_candidate_reaches(results: dict[str, Any]) -> None:
    # 4,000 multiply-adds a second in round 1, 2,000 in round 2; Mien needs 1,000 for a face
    assert tables.limits(results) == {(1, 1): (3000, pytest.approx(2)), (1, 64): (3000, pytest.approx(1.5))}


def test_limits_without_the_section(results: dict[str, Any]) -> None:
    del results["sections"]["limit"]
    assert tables.limits(results) == {}


def test_aims(results: dict[str, Any]) -> None:
    found = {name: rest for name, *rest in tables.aims(results)}
    assert found["shipped model file"] == ["at most 5 MB", "3.3 MB", "yes"]
    assert found["one face, 2 threads, to plain AlexNet in float32"] == ["at most 0.08 times", "0.05 times", "yes"]
    assert found["one face, 2 threads, to EfficientNet-B0"][1:] == ["0.2 times", "no, 33.3 % over"]
    assert found["64 faces, 2 threads, to plain AlexNet in float32"][1:] == ["0.1 times", "yes"]
    assert found["astronaut, detect and classify, to fer"][1:] == ["0.15 times", "no, 20.0 % over"]
    assert found["cold start of `mien predict`, to the API's"][1:] == ["2.5 times", "no, 66.7 % over"]
    assert found["peak memory of that process"][1:] == ["125 MB", "yes"]
    assert found["install size"][1:] == ["390 MB", "yes"]
    assert found["classifier to its int8 limit, 64 faces, 1 thread"][1:] == ["1.5 times", "yes"]


def test_aims_of_what_was_not_measured_are_left_out(results: dict[str, Any]) -> None:
    results["sections"] = {"size": results["sections"]["size"]}
    assert [name for name, *_ in tables.aims(results)] == ["shipped model file", "install size"]


def test_tables(results: dict[str, Any]) -> None:
    markdown = tables.to_markdown(results)
    assert "Some CPU, 2 cores (x86_64; avx2), Linux; 2026-01-02; rounds: 2." in markdown
    heads, _, *rows = section_of(markdown, "The classifier alone")
    assert all(len(line) == len(heads) for line in rows)
    assert [line[0] for line in rows] == [
        *("**Mien**", "fer", "fer's network, as a batch", "Plain AlexNet 227, float32", "EfficientNet-B0 224")
    ]
    cost = ["3.0 M", "0 M", "3.3 MB"]
    assert rows[0][1:] == [*cost, "1.5 (1 to 2)", "1.5 (1 to 2)", "1", "667", "1"]
    assert rows[2][1:] == ["", "", "", "", "", "", "1,333", "0.5"]
    assert rows[3][1:] == [*cost, "", "30 (20 to 40)", "20", "67", "10"]
    assert section_of(markdown, "Detect and classify")[2][1:] == ["6 (4 to 8)", "1", "1", "10 (10 to 10)", "6", "1"]
    assert section_of(markdown, "Detect and classify")[3][1:] == ["40 (40 to 40)", "1", "7.5", "", "", ""]
    assert section_of(markdown, "Cold start and memory")[4] == ["fer", "3.5 (3 to 4)", "17.5", "600", "4.81"]
    assert section_of(markdown, "Install size")[2] == ["`pip install mien`", "390", "1.00", "numpy 200, other 190"]
    assert markdown.endswith("- Absent: vgg13: no space left.\n")


def test_tables_without_mien(results: dict[str, Any]) -> None:
    del results["sections"]["start"]["measured"]["mien"]
    assert section_of(tables.to_markdown(results), "Cold start and memory")[3] == ["fer", "3.5 (3 to 4)", "", "600", ""]


def test_the_tables_go_between_their_marks() -> None:
    text = f"# Title\n\n{tables.BEGIN}\nold\n{tables.END}\n\nrest\n"
    once = tables.replace_tables(text, "new\n")
    assert once == f"# Title\n\n{tables.BEGIN}\n\nnew\n\n{tables.END}\n\nrest\n"
    assert tables.replace_tables(once, "new\n") == once
    with pytest.raises(ValueError, match="expected the lines"):
        tables.replace_tables("# Title\n", "new\n")


@pytest.mark.slow
def test_the_chart_has_a_panel_for_what_was_measured(results: dict[str, Any], tmp_path: Path) -> None:
    shown = dict(chart.panels(results))
    assert len(shown) == 7
    assert shown["Classifier, 64 faces, 2 threads: ms a face"][0] == ("Mien", pytest.approx([1, 2]))
    assert shown["Peak memory of that process: MB"][1] == ("mien predict photo.jpg", pytest.approx([140, 140]))
    chart.draw(results, tmp_path / "new" / "chart.png")
    assert (tmp_path / "new" / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_who_fails_in_a_round_is_absent_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = room.Bench(tmp_path, {}, rounds=3, seconds=0.1, yunet=tmp_path)
    asked: list[str] = []

    def measure(name: str) -> Mapping[str, float]:
        asked.append(name)
        if name == "bad" and asked.count("bad") == 2:
            raise environments.AbsentError("cannot open /some/where/else/file.onnx")
        return {"seconds": len(asked), "cpu": 1e9}

    found = room.in_rounds("title", bench, ["good", "bad"], measure)
    assert len(found["good"]["seconds"]) == 3
    assert list(found) == ["good"]
    assert asked.count("bad") == 2
    assert bench.absent == {"bad, title": "cannot open file.onnx"}
    assert "round 3 of 3" in capsys.readouterr().err


def test_disturbed_bursts_are_done_again_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = room.Bench(tmp_path, {}, rounds=4, seconds=0.1, yunet=tmp_path)
    busy = iter([0.0, 1e6, 0.0, 0.0, *[0.0, 1e6] * 10])  # before and after each burst: the second alone is quiet
    monkeypatch.setattr(room, "busy_seconds", lambda: next(busy))
    monkeypatch.setattr(room, "_PAUSE_S", 0)
    asked: list[str] = []

    def measure(name: str) -> Mapping[str, float]:
        asked.append(name)
        return {"seconds": float(len(asked)), "cpu": 0.5}

    found = room.in_rounds("title", bench, ["one"], measure)
    assert len(asked) == 4 + 2
    assert found["one"]["seconds"] == [2, 4, 5, 6]
    assert [cores > room.DISTURBED for cores in found["one"]["others"]] == [False, True, True, True]
    assert "cpu" not in found["one"]


def test_the_tables_say_what_was_disturbed(results: dict[str, Any]) -> None:
    results["sections"]["classifier"]["measured"]["1 face, 1 thread"]["fer"]["others"] = [0.5, 0.1]
    results["sections"]["start"]["measured"]["fer"]["others"] = [0.0, 0.1]
    assert tables.disturbed(results, "classifier") == (1, 2)
    expected = tables.to_markdown(results).splitlines()[0]
    assert expected.endswith("rounds: 2. Other programs used more than 0.15 cores in 1 of 2 bursts of `classifier`.")


def test_busy_processors_are_counted() -> None:
    before = room.busy_seconds()
    if not before:
        pytest.skip("this system does not report how busy its processors are")
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert room.busy_seconds() - before >= 0.05


def test_an_environment_that_cannot_be_made_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def failing(name: str, *_: object) -> None:
        tried.append(name)
        raise environments.AbsentError("no network")

    monkeypatch.setattr(room, "make", failing)
    bench = room.Bench(tmp_path, {"fer": tmp_path}, rounds=1, seconds=0.1, yunet=tmp_path)
    for _ in range(2):
        with pytest.raises(environments.AbsentError, match="no network"):
            bench.environment("bare")
    assert tried == ["bare"]
    assert bench.environment("fer").folder == tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/me/env/bin/python: No module named fer", "python: No module named fer"),
        ("cannot read '/a/b.onnx' or ../c/d.onnx", "cannot read 'b.onnx' or ../c/d.onnx"),
        ("12 and/or 3 of https://example.org/a/b", "12 and/or 3 of https://example.org/a/b"),
    ],
)
def test_reasons_name_no_folders(text: str, expected: str) -> None:
    assert room.without_folders(text) == expected


def test_other_sections_stay_on_the_same_machine_only(
    tmp_path: Path, results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = room.Bench(tmp_path, {}, rounds=2, seconds=0.1, yunet=tmp_path)
    monkeypatch.setitem(speed.SECTIONS, "size", lambda bench: {"mien": "new"})
    other = speed.measure_all(bench, ["size"], results)
    assert list(other["sections"]) == ["size"]
    same = speed.measure_all(bench, ["size"], {**results, "machine": speed.machine()})
    assert list(same["sections"]) == list(speed.SECTIONS)
    assert same["sections"]["size"]["measured"] == {"mien": "new"}
    assert same["sections"]["start"] == results["sections"]["start"]
    assert same["versions"] == results["versions"]


def test_machine_says_what_the_figures_depend_on() -> None:
    found = speed.machine()
    assert found["cores"] >= 1
    assert set(found) <= {"system", "architecture", "cpu", "cores", "flags"}


def test_where_the_bytes_go() -> None:
    package = environments.Package
    packages = {
        "pip": package("1", 30),
        "small": package("1", 5),
        "numpy": package("2", 50),
        "setuptools": package("1", 9),
    }
    sizes = environments.by_package({**packages, "onnxruntime": package("1", 80)}, 200, least=10)
    assert list(sizes.items()) == [("onnxruntime", 80), ("numpy", 50), ("pip, setuptools", 39), ("other", 31)]


def test_children_choose_their_own_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    monkeypatch.setenv("LANG", "C")
    variables = environments.clean_environment(tmp_path)
    assert not {"OMP_NUM_THREADS", "PYTHONPATH"} & set(variables)
    assert (variables["LANG"], variables["MIEN_CACHE"]) == ("C", str(tmp_path))


def test_a_failing_command_says_why() -> None:
    with pytest.raises(environments.AbsentError, match=r"^ValueError: no$"):
        environments.run([sys.executable, "-c", "raise ValueError('no')"])
    with pytest.raises(environments.AbsentError, match="No such file"):
        environments.run(["/nowhere/python"])
    assert environments.run([sys.executable, "-c", "print(7)"]) == "7\n"


def test_a_burst_counts_all_calls_but_the_first() -> None:
    calls = []
    reply = worker.burst(lambda: calls.append(1) or len(calls), seconds=0, least=4)
    assert len(reply["seconds"]) == 4
    assert reply["faces"] == len(calls) == 5
    assert len(worker.burst(lambda: 1, seconds=0.02, least=1)["seconds"]) > 1


def test_the_launcher_measures_the_command_alone() -> None:
    launcher = [sys.executable, "-I", "-S", str(Path(worker.__file__).with_name("launch.py"))]
    code = "import sys, time; data = bytearray(100_000_000); time.sleep(0.1); print('no JSON'); sys.exit(3)"
    replies = []
    for command in ([sys.executable, "-c", code], [sys.executable, "-I", "-S", "-c", "pass"]):
        done = subprocess.run([*launcher, *command], capture_output=True, text=True, check=True)
        replies.append(json.loads(done.stdout))
    large, small = replies
    assert (large["code"], small["code"]) == (3, 0)
    assert large["seconds"] > 0.1
    assert 0 < large["cpu"] < large["seconds"] + 1
    assert small["bytes"] < 50_000_000
    assert 100_000_000 < large["bytes"] < 150_000_000


def small_network(path: Path, last: str) -> None:
    """Faces (N, 2, 6, 6): a convolution by a quantised kernel of 3x3 to (N, 4, 4, 4), then 64 values to 5."""
    kernel, matrix = np.ones((4, 2, 3, 3), np.int8), np.ones((64, 5), np.float32)
    constants = {
        "kernel": kernel,
        "scale": np.float32(1).reshape(()),
        "zero": np.int8(0).reshape(()),
        "bias": np.ones(4, np.float32),
        "matrix": matrix,
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["kernel", "scale", "zero"], ["w"]),
        helper.make_node("Conv", ["faces", "w", "bias"], ["map"]),
        helper.make_node("Flatten", ["map"], ["flat"]),
        helper.make_node(last, ["flat", "matrix"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["N", 2, 6, 6])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)


@pytest.mark.parametrize("last", ["Gemm", "MatMul"])
def test_the_cost_of_a_graph(tmp_path: Path, last: str) -> None:
    path = tmp_path / "small.onnx"
    small_network(path, last)
    found = graphs.cost(path)
    assert found.parameters == 4 * 2 * 9 + 4 + 64 * 5
    assert found.multiply_adds == 4 * 4 * 4 * 2 * 9 + 64 * 5
    assert found.file_bytes == path.stat().st_size


def test_the_cost_of_a_product_with_its_weights_on_the_left(tmp_path: Path) -> None:
    weights = onnx.numpy_helper.from_array(np.zeros((3, 4), np.float32), "weights")
    given, got = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("given", ("n", 4, 5)), ("got", ("n", 3, 5)))
    )
    node = onnx.helper.make_node("MatMul", ["weights", "given"], ["got"])
    graph = onnx.helper.make_graph([node], "left", [given], [got], [weights])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "left.onnx")
    found = graphs.cost(tmp_path / "left.onnx")
    assert (found.parameters, found.multiply_adds) == (12, 3 * 4 * 5)


def test_the_cost_of_what_cannot_be_counted(tmp_path: Path) -> None:
    small_network(tmp_path / "odd.onnx", "MatMulInteger")
    with pytest.raises(ValueError, match="cannot count the multiply-adds of MatMulInteger"):
        graphs.cost(tmp_path / "odd.onnx")


@pytest.mark.parametrize("name", graphs.PEAKS)
def test_the_work_of_a_candidate_for_the_peak(name: str, tmp_path: Path) -> None:
    graphs.write_peak(name, tmp_path / "peak.onnx")
    rows = graphs.PEAKS[name][1][0]
    assert graphs.peak_multiply_adds(name) == rows * graphs.cost(tmp_path / "peak.onnx").multiply_adds


def test_the_frame_holds_six_heads_apart_from_each_other(tmp_path: Path) -> None:
    taken = np.zeros(pictures.FRAME, int)
    for left, top, side in pictures.PLACES:
        taken[top : top + side, left : left + side] += 1
    assert taken.sum() == sum(side**2 for *_, side in pictures.PLACES)
    assert taken.max() == 1
    frame = pictures.group()
    assert (frame.shape, frame.dtype) == ((720, 1280, 3), np.uint8)
    np.testing.assert_array_equal(frame, pictures.group())
    paths = pictures.write_pictures(tmp_path / "pictures")
    assert all(path.is_file() for path in paths.values())

"""A whole run in this process: the rows, the counts, and going on after whatever went wrong."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.memory import MemoryFileSystem

import mien
from mien.annotate import Options, storage
from mien.annotate.run import Progress, dry_run
from mien.errors import ConfigError, StorageError
from mien.options import AnalyzerOptions

PICTURES = 40


def grey(level: int, side: int = 60) -> Image.Image:
    return Image.fromarray(np.full((side, side), level, np.uint8))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Grey pictures in three folders, of every brightness."""
    folder = tmp_path / "photos"
    for number in range(PICTURES):
        path = folder / f"{number % 3}" / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        grey(number * 255 // (PICTURES - 1)).save(path)
    return folder


@pytest.fixture
def run(brightness_model: Path, tmp_path: Path, started: Any) -> Any:
    """`annotate` in this process with the model of brightness; each picture is a face."""

    def go(source: Path | str, out: Path | str | None = None, **more: Any) -> dict[str, Any]:
        more = {"model": str(brightness_model), "detector": "none", "workers": 0, **more}
        return started(source, out or tmp_path / "out", **more)

    return go


def faces(out: Path) -> Any:
    return pq.read_table(out / "faces").to_pandas()


def errors(out: Path) -> Any:
    return pq.read_table(out / "errors").to_pandas()


def times(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.rglob("*.parquet")}


def test_rows_are_those_of_the_analyzer(photos: Path, run: Any, tmp_path: Path, brightness_model: Path) -> None:
    manifest = run(photos)
    rows = faces(tmp_path / "out").sort_values("source").reset_index(drop=True)
    paths = sorted(photos.rglob("*.png"))
    analyses = list(mien.load(brightness_model, detector="none").analyze_many(paths))
    assert rows.source.tolist() == [str(path) for path in paths]
    assert rows.emotion.tolist() == [analysis.faces[0].emotion for analysis in analyses]
    for name in mien.EMOTIONS:
        expected = [analysis.faces[0].probabilities[name] for analysis in analyses]
        np.testing.assert_allclose(rows[f"p_{name}"], expected, atol=1e-6)
    assert set(rows.model) == {"brightness-1.0-float32"}
    assert (rows.width == 60).all()
    assert (rows.face == 1).all()
    assert rows.score.isna().all()
    counts = {"input": PICTURES, "read": PICTURES, "errors": 0, "left": 0, "with_faces": PICTURES, "without_faces": 0}
    assert manifest["counts"] == {**counts, "faces": PICTURES}
    assert manifest["complete"]
    assert sum(manifest["emotions"].values()) == PICTURES
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest
    assert errors(tmp_path / "out").empty


def test_a_shard_holds_its_pictures_in_order(photos: Path, run: Any, tmp_path: Path) -> None:
    manifest = run(photos, options=Options(shard=7))
    assert manifest["shards"] == {"planned": 6, "done": 6}
    parts = sorted((tmp_path / "out" / "faces").iterdir())
    sources = [source for part in parts for source in pq.read_table(part)["source"].to_pylist()]
    assert sources == [str(path) for path in sorted(photos.rglob("*.png"))]


def test_pictures_without_faces_are_counted(photos: Path, run: Any, tmp_path: Path) -> None:
    counts = run(photos, detector="haar")["counts"]
    assert counts["without_faces"] == counts["read"] == PICTURES
    assert counts["faces"] == 0
    assert faces(tmp_path / "out").empty


def test_bad_pictures_are_told_and_stop_nothing(photos: Path, run: Any, tmp_path: Path) -> None:
    (photos / "0" / "text.jpg").write_text("no picture")
    (photos / "1" / "empty.jpg").write_bytes(b"")
    whole = (photos / "2" / "002.png").read_bytes()
    (photos / "2" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "2" / "gone.png").symlink_to("nowhere.png")
    grey(9, 200).save(photos / "2" / "large.png")
    counts = run(photos, options=Options(analyzer=AnalyzerOptions(max_pixels=10_000)))["counts"]
    told = {Path(row.source).name: row.kind for row in errors(tmp_path / "out").itertuples()}
    assert told == {
        "text.jpg": "format",
        "empty.jpg": "damaged",
        "cut.png": "damaged",
        "gone.png": "missing",
        "large.png": "large",
    }
    assert counts["errors"] == 5
    assert counts["input"] == counts["read"] + counts["errors"] == PICTURES + 5
    assert all("the bytes" not in reason and "\n" not in reason for reason in errors(tmp_path / "out").reason)


def test_a_picture_on_which_a_library_fails_is_one_error(
    photos: Path, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detect = mien.runtime.detectors.WholeImageDetector.detect

    def failing(self: Any, image: Any) -> Any:
        if image[0, 0, 0] == 0:
            raise RuntimeError("a bug\nof a library")
        return detect(self, image)

    monkeypatch.setattr(mien.runtime.detectors.WholeImageDetector, "detect", failing)
    manifest = run(photos)
    assert errors(tmp_path / "out").values.tolist() == [
        [str(photos / "0" / "000.png"), "failed", "cannot be classified: a bug of a library"]
    ]
    assert manifest["counts"]["read"] == PICTURES - 1 == len(faces(tmp_path / "out"))


def test_the_same_again_does_nothing(photos: Path, run: Any, tmp_path: Path) -> None:
    first = run(photos)
    before = times(tmp_path / "out")
    again = run(photos)
    assert times(tmp_path / "out") == before
    assert {**again, "runs": 0} == {**first, "runs": 0}
    assert [one["pictures"] for one in again["runs"]] == [PICTURES, 0]


@pytest.mark.parametrize(
    "damage",
    [
        lambda out: (out / "faces" / "part-000001.parquet").unlink(),
        lambda out: (out / "faces" / "part-000001.parquet").write_bytes(b"PAR1"),
        lambda out: _flip(out / "faces" / "part-000001.parquet"),
        lambda out: (out / "plan" / "done" / "000001.json").unlink(),
        lambda out: (out / "plan" / "done" / "000001.json").write_text("{"),
    ],
)
def test_a_damaged_part_is_done_again_and_no_other(photos: Path, run: Any, tmp_path: Path, damage: Any) -> None:
    out = tmp_path / "out"
    first = run(photos)
    rows, before = faces(out), times(out)
    damage(out)
    again = run(photos)
    changed = {name for name, when in times(out).items() if before.get(name) != when}
    assert changed == {"faces/part-000001.parquet"}
    assert faces(out).equals(rows)
    assert again["counts"] == first["counts"]
    assert again["runs"][-1]["shards"] == 1


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.slow
def test_interrupted_anywhere_it_goes_on(
    photos: Path, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write of a run is its last one, once; what is written then is what an uninterrupted run writes."""
    run(photos, tmp_path / "whole", options=Options(shard=16))
    write, written = storage.Folder.write, 0

    def interrupted(self: Any, name: str, content: bytes) -> None:
        nonlocal written
        if written == last:
            raise KeyboardInterrupt
        written += 1
        write(self, name, content)

    for last in range(40):  # noqa: B007 - `interrupted` looks at it
        written = 0
        with monkeypatch.context() as patched:
            patched.setattr(storage.Folder, "write", interrupted)
            try:
                run(photos, options=Options(shard=16))
                break
            except KeyboardInterrupt:
                pass
        run(photos, options=Options(shard=16))
        for name in ("faces/part-000000.parquet", "faces/part-000001.parquet", "faces/part-000002.parquet"):
            assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        assert not list((tmp_path / "out" / "plan" / "attempts").iterdir())
        shutil.rmtree(tmp_path / "out")
    else:
        pytest.fail("a run writes more often than that")
    assert last > 10


def test_another_question_of_the_same_folder_is_refused(photos: Path, run: Any, tmp_path: Path) -> None:
    run(photos)
    before = times(tmp_path / "out")
    for more, told in (
        ({"options": Options(analyzer=AnalyzerOptions(min_face=30))}, "min_face 20.0, not 30"),
        ({"detector": "haar"}, "detector none, not haar"),
        ({"model": None}, "model brightness"),
    ):
        with pytest.raises(ConfigError, match=told):
            run(photos, **more)
    grey(3).save(photos / "0" / "new.png")
    with pytest.raises(
        ConfigError, match=f"{PICTURES} pictures, and the input now holds {PICTURES + 1}.*`planned=True`"
    ):
        run(photos)
    (photos / "0" / "new.png").unlink()
    assert times(tmp_path / "out") == before


def test_planned_goes_on_with_what_was_planned(photos: Path, run: Any, tmp_path: Path) -> None:
    run(photos)
    grey(3).save(photos / "0" / "new.png")
    (tmp_path / "out" / "faces" / "part-000000.parquet").unlink()
    assert run(photos, planned=True)["counts"]["input"] == PICTURES
    with pytest.raises(ConfigError, match="holds no plan"):
        run(photos, tmp_path / "other", planned=True)


def test_a_folder_of_something_else_is_left_alone(photos: Path, run: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds other files \(thesis.tex\)"):
        run(photos)


def test_out_below_the_input_is_no_input(photos: Path, run: Any) -> None:
    assert run(photos, photos / "out")["counts"]["input"] == PICTURES
    grey(1).save(photos / "out" / "drawn.png")
    assert run(photos, photos / "out")["runs"][-1]["shards"] == 0


def test_sample_and_limit(photos: Path, run: Any, tmp_path: Path) -> None:
    half = run(photos, tmp_path / "half", options=Options(sample=0.5))["counts"]["input"]
    assert PICTURES / 4 < half < PICTURES * 3 / 4
    few = run(photos, tmp_path / "few", options=Options(sample=0.5, limit=3))["counts"]["input"]
    assert few == 3
    assert faces(tmp_path / "few").source.tolist() == faces(tmp_path / "half").source.tolist()[:3]


def test_parquet_gives_what_files_give(photos: Path, run: Any, tmp_path: Path) -> None:
    paths = sorted(photos.rglob("*.png"))
    table = pa.table({"image": [path.read_bytes() for path in paths], "name": [str(path) for path in paths]})
    (tmp_path / "parquet").mkdir()
    pq.write_table(table.slice(0, 25), tmp_path / "parquet" / "a.parquet", row_group_size=10)
    pq.write_table(table.slice(25), tmp_path / "parquet" / "b.parquet", row_group_size=4)
    run(photos)
    manifest = run(tmp_path / "parquet", tmp_path / "rows", options=Options(id_column="name"))
    assert manifest["counts"]["read"] == PICTURES
    assert faces(tmp_path / "rows").equals(faces(tmp_path / "out"))
    run(tmp_path / "parquet", tmp_path / "numbered", options=Options(sample=0.5))
    sources = faces(tmp_path / "numbered").source.tolist()
    assert all(source.startswith(f"{tmp_path}/parquet/") and ".parquet#" in source for source in sources)
    assert len(set(sources)) == len(sources) < PICTURES


def test_everything_in_memory(photos: Path, run: Any) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(photos), "/scene", recursive=True)
    try:
        manifest = run("memory://scene", "memory://annotated")
        assert manifest["counts"]["read"] == PICTURES
        rows = pq.read_table("/annotated/faces", filesystem=memory).to_pandas()
        assert sorted(rows.source)[0] == "memory://scene/0/000.png"
        assert run("memory://scene", "memory://annotated")["runs"][-1]["shards"] == 0
    finally:
        memory.rm("/", recursive=True)


class Flaky(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system in memory that fails at first: each path, so many times, with some error."""

    protocol = "flaky"
    cachable = False
    store: dict[str, Any] = {}  # noqa: RUF012 - as its parent has it
    pseudo_dirs = [""]  # noqa: RUF012
    failures = 0
    error: type[OSError] = OSError
    number = errno.EIO
    only = ""
    met: dict[str, int] = {}  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(str(path).replace("flaky://", "memory://"))
        return stripped

    def _fail(self, path: str) -> None:
        path = re.sub(r"/\.([^/]+)\.[0-9a-f]{8}\.part$", r"/\1", path)  # written aside
        if self.only in path:
            self.met[path] = self.met.get(path, 0) + 1
            if self.met[path] <= self.failures:
                raise self.error(self.number, os.strerror(self.number))

    def open(self, path: str, mode: str = "rb", **more: Any) -> Any:
        self._fail(path)
        return super().open(path, mode, **more)

    def ls(self, path: str, **more: Any) -> Any:
        self._fail(path)
        return super().ls(path, **more)

    def cat_file(self, path: str, **more: Any) -> Any:
        self._fail(path)
        return super().cat_file(path, **more)

    def pipe_file(self, path: str, value: bytes, **more: Any) -> Any:
        self._fail(path)
        return super().pipe_file(path, value, **more)


@pytest.fixture
def flaky(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    monkeypatch.setattr(Flaky, "store", {})
    monkeypatch.setattr(Flaky, "pseudo_dirs", [""])
    monkeypatch.setattr(Flaky, "met", {})
    monkeypatch.setattr(storage, "_WAIT_S", 0.0)
    monkeypatch.setattr(storage.persistently, "__kwdefaults__", {"tries": 4, "wait_s": 0.0})
    Flaky().put(str(photos), "/in", recursive=True)
    Flaky.met.clear()

    def fail(times: int, error: type[OSError] = OSError, number: int = errno.EIO, only: str = "") -> None:
        monkeypatch.setattr(Flaky, "met", {})
        for name, value in (("failures", times), ("error", error), ("number", number), ("only", only)):
            monkeypatch.setattr(Flaky, name, value)

    return fail


def test_a_file_system_that_fails_twice_and_then_works(run: Any, flaky: Any) -> None:
    flaky(2)
    manifest = run("flaky://in", "flaky://out")
    assert manifest["counts"]["read"] == manifest["counts"]["input"] == PICTURES
    assert manifest["errors"] == {}
    assert max(Flaky.met.values()) >= 3


def test_a_picture_that_storage_does_not_give_is_told_and_tried_by_the_next_run(run: Any, flaky: Any) -> None:
    flaky(99, only="007.png")

    def told() -> list[str]:
        return [name for path in Flaky().ls("/out/errors", detail=False) for name in _sources(Flaky().cat_file(path))]

    manifest = run("flaky://in", "flaky://out", options=Options(shard=5))
    assert manifest["errors"] == {"storage": 1}
    assert manifest["counts"]["read"] == PICTURES - 1
    assert told() == ["flaky://in/1/007.png"]
    flaky(0)
    manifest = run("flaky://in", "flaky://out", options=Options(shard=5))
    assert manifest["errors"] == {}
    assert told() == []
    assert manifest["counts"]["read"] == PICTURES
    assert manifest["runs"][-1]["shards"] == 1


def _sources(part: bytes) -> list[str]:
    return list(pq.read_table(pa.BufferReader(part))["source"].to_pylist())


def test_pictures_that_may_not_be_read_are_told(run: Any, flaky: Any) -> None:
    flaky(99, PermissionError, errno.EACCES, only="007.png")
    assert run("flaky://in", "flaky://out")["errors"] == {"denied": 1}
    assert run("flaky://in", "flaky://out")["runs"][-1]["shards"] == 0


def test_storage_that_gives_nothing_stops_the_run(run: Any, flaky: Any) -> None:
    flaky(99, only=".png")
    with pytest.raises(
        StorageError, match=r"none of the 16 pictures of shard 0 could be processed: .*Input/output error"
    ):
        run("flaky://in", "flaky://out")
    flaky(0)
    assert run("flaky://in", "flaky://out")["counts"]["read"] == PICTURES


def test_a_full_disk_stops_the_run_and_space_goes_on(run: Any, flaky: Any) -> None:
    flaky(99, OSError, errno.ENOSPC, only="faces/part-000001")
    with pytest.raises(StorageError, match=r"faces/part-000001\.parquet cannot be written: No space left on device"):
        run("flaky://in", "flaky://out")
    manifest = json.loads(Flaky().cat_file("/out/manifest.json"))
    assert not manifest["complete"]
    assert manifest["counts"]["left"] == PICTURES - 16
    flaky(0)
    assert run("flaky://in", "flaky://out")["counts"]["read"] == PICTURES


def test_an_out_that_may_not_be_written(run: Any, flaky: Any) -> None:
    flaky(99, PermissionError, errno.EACCES, only="out")
    with pytest.raises(StorageError, match=r"flaky://out: .* cannot be .*: Permission denied"):
        run("flaky://in", "flaky://out")


def test_a_folder_that_may_not_be_read_is_told(run: Any, flaky: Any) -> None:
    flaky(99, PermissionError, errno.EACCES, only="in/1")
    manifest = run("flaky://in", "flaky://out")
    assert manifest["input"]["unreadable"] == ["flaky://in/1: cannot be read: Permission denied"]
    assert not manifest["complete"]
    assert manifest["counts"]["read"] == manifest["counts"]["input"] < PICTURES


def test_progress_and_plan_are_told(photos: Path, run: Any) -> None:
    seen: list[Progress] = []
    plans: list[Any] = []
    run(photos, on_progress=seen.append, on_plan=plans.append)
    assert [plan.pictures for plan in plans] == [PICTURES]
    assert seen[0].done == 0
    assert seen[-1] == Progress(PICTURES, PICTURES, 0, 0, PICTURES)
    assert [one.done for one in seen] == sorted(one.done for one in seen)


def test_dry_run_writes_nothing(photos: Path, run: Any, tmp_path: Path, brightness_model: Path) -> None:
    out = tmp_path / "out"
    ask = Options(model=str(brightness_model), detector="none")
    found = dry_run(str(photos), str(out), options=ask)
    assert (found.plan.pictures, found.done) == (PICTURES, 0)
    assert found.seconds > 0
    assert not out.exists()
    run(photos)
    assert dry_run(str(photos), str(out), options=ask).done == PICTURES


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"engine": "spark"}, "expected the engine local or ray"),
        ({"workers": -1}, "workers must be 0 or more"),
        ({"address": "host:1"}, "go with the engine ray"),
        ({"providers": ["Nonsense"]}, "Nonsense"),
    ],
)
def test_options_without_sense(photos: Path, run: Any, more: dict[str, Any], told: str) -> None:
    with pytest.raises(Exception, match=told) as error:
        run(photos, **more)
    assert isinstance(error.value, mien.MienError)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_disk_that_takes_no_large_file(photos: Path, tmp_path: Path, brightness_model: Path) -> None:
    """A real limit of the system: no file above 4 kB, which a part passes and a note does not."""
    script = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); import mien.annotate as a;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); a.annotate({str(photos)!r}, "
        f"{str(tmp_path / 'out')!r}, engine=a.Engine(workers=0), "
        f"options=a.Options(model={str(brightness_model)!r}, detector='none'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "StorageError" in done.stderr
    assert "File too large" in done.stderr
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file() and ".part" in path.name]


def test_a_damaged_parquet_file_is_told_and_the_others_go_on(photos: Path, run: Any, tmp_path: Path) -> None:
    table = pa.table({"image": [path.read_bytes() for path in sorted(photos.rglob("*.png"))]})
    for name in ("a", "b", "c"):
        (tmp_path / "in").mkdir(exist_ok=True)
        pq.write_table(table.slice(0, 10), tmp_path / "in" / f"{name}.parquet")
    for name in ("a", "c"):
        (tmp_path / "in" / f"{name}.parquet").write_bytes(b"PAR1 and nothing else")
    manifest = run(tmp_path / "in")
    assert manifest["counts"]["read"] == manifest["counts"]["input"] == 10
    assert [told.split(":")[0] for told in manifest["input"]["unreadable"]] == [
        str(tmp_path / "in" / f"{name}.parquet") for name in ("a", "c")
    ]
    assert not manifest["complete"]


def test_out_named_by_a_link_is_no_input(photos: Path, run: Any, tmp_path: Path) -> None:
    (photos / "out").mkdir()
    (tmp_path / "link").symlink_to(photos / "out")
    run(photos, tmp_path / "link")
    grey(1).save(photos / "out" / "drawn.png")
    assert run(photos, tmp_path / "link")["counts"]["input"] == PICTURES


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
def test_pipes_and_impossible_names_do_not_hang(photos: Path, run: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "list.txt").write_bytes(b"pipe.png\nphotos/0/000.png\na\0b.png\n")
    assert run(tmp_path / "list.txt")["errors"] == {"missing": 2}
    with pytest.raises(ConfigError, match=r"pipe\.png: expected a folder"):
        run(tmp_path / "pipe.png", tmp_path / "other")


def failing_on(patch: pytest.MonkeyPatch, is_bad: Any) -> None:
    """Make the network fail on batches of faces of which one is bad."""
    classify = mien.analyzer.Analyzer._probabilities

    def failing(self: Any, crops: Any) -> Any:
        if any(is_bad(crop) for crop in crops):
            raise RuntimeError("CUDA failure 2:\nout of memory")
        return classify(self, crops)

    patch.setattr(mien.analyzer.Analyzer, "_probabilities", failing)


def test_a_machine_that_fails_at_everything_stops_the_run_and_another_goes_on(
    photos: Path, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        failing_on(patch, lambda _: True)
        told = (
            "none of the 16 pictures of shard 0 could be processed: cannot be classified: CUDA failure 2: out of memory"
        )
        with pytest.raises(StorageError, match=f"^{told}$"):
            run(photos)
    assert not json.loads((tmp_path / "out" / "manifest.json").read_text())["complete"]
    manifest = run(photos)
    assert manifest["complete"]
    assert manifest["counts"]["read"] == PICTURES == len(faces(tmp_path / "out"))
    assert errors(tmp_path / "out").empty


def test_what_a_machine_fails_at_is_done_again_by_the_next_run(
    photos: Path, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress: list[Progress] = []
    with monkeypatch.context() as patch:
        failing_on(patch, lambda crop: abs(crop.mean() - 248) < 1)
        manifest = run(photos, on_progress=progress.append)
    assert manifest["errors"] == {"failed": 1}
    assert errors(tmp_path / "out").source.tolist() == [str(photos / "2" / "038.png")]  # the last of all
    assert max(one.done for one in progress) == PICTURES
    manifest = run(photos)
    assert manifest["errors"] == {}
    assert manifest["runs"][-1]["shards"] == 1
    assert len(faces(tmp_path / "out")) == PICTURES
    assert errors(tmp_path / "out").empty


@pytest.mark.parametrize("at", [0, 1, 20, PICTURES])
def test_an_out_that_goes_meanwhile_is_never_called_complete(at: int, photos: Path, run: Any, tmp_path: Path) -> None:
    gone: list[int] = []

    def remove(progress: Progress) -> None:
        if progress.done >= at and not gone:
            gone.append(progress.done)
            shutil.rmtree(tmp_path / "out")

    with pytest.raises(StorageError, match=r"plan|gone"):
        run(photos, on_progress=remove)
    assert gone
    kept = tmp_path / "out" / "manifest.json"
    assert not kept.exists() or not json.loads(kept.read_text())["complete"]


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_kept_model_that_is_damaged_is_put_there_again(damage: str, photos: Path, run: Any, tmp_path: Path) -> None:
    run(photos)
    model = tmp_path / "out" / "plan" / "model.onnx"
    content = model.read_bytes()
    if damage == "missing":
        model.unlink()
    else:
        model.write_bytes(content[:-1])
    (tmp_path / "out" / "faces" / "part-000001.parquet").unlink()
    manifest = run(photos)
    assert model.read_bytes() == content
    assert manifest["complete"]
    assert manifest["runs"][-1]["shards"] == 1


@pytest.mark.parametrize("name", ["faces/part-000001.parquet", "plan/done/000001.json"])
def test_a_file_that_goes_meanwhile_is_told_and_made_again(name: str, photos: Path, run: Any, tmp_path: Path) -> None:
    def remove(progress: Progress) -> None:
        if progress.done == PICTURES:
            (tmp_path / "out" / name).unlink(missing_ok=True)

    with pytest.raises(StorageError, match=f"files have gone .{name}.: run the same command again"):
        run(photos, on_progress=remove)
    assert not json.loads((tmp_path / "out" / "manifest.json").read_text())["complete"]
    assert run(photos)["runs"][-1]["shards"] == 1


def test_a_manifest_that_cannot_be_written_hides_no_error(
    photos: Path, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, full = storage.Folder.write, ["faces/part-000001.parquet", "manifest.json"]

    def failing(self: Any, name: str, content: bytes) -> None:
        if name in full:
            raise StorageError(f"{name} cannot be written: No space left on device")
        write(self, name, content)

    monkeypatch.setattr(storage.Folder, "write", failing)
    with pytest.raises(StorageError, match=r"^faces/part-000001\.parquet cannot be written"):
        run(photos)
    full.pop(0)
    with pytest.raises(StorageError, match=r"^manifest\.json cannot be written"):
        run(photos)
    full.pop(0)
    assert run(photos)["runs"][-1]["shards"] == 0


def tried(patch: pytest.MonkeyPatch) -> list[str]:
    """The pictures that a dry run is to fetch from now on."""
    from mien.annotate.prefetch import fetch

    names: list[str] = []

    def noting(*arguments: Any) -> Any:
        for item in fetch(*arguments):
            names.append(Path(item.source).name)
            yield item

    patch.setattr("mien.annotate.run.fetch", noting)
    return names


@pytest.mark.parametrize(("shard", "least"), [(None, 9), (1, 5), (3, 9)])
def test_an_estimate_is_made_of_pictures_from_all_over(
    shard: int | None, least: int, photos: Path, tmp_path: Path, brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(photos.rglob("*.png"))
    for path in paths[:20]:
        path.write_bytes(b"no picture")
    names = tried(monkeypatch)
    detected: list[Any] = []
    look = mien.analyzer.Analyzer._detect
    monkeypatch.setattr(
        mien.analyzer.Analyzer, "_detect", lambda *arguments: detected.append(look(*arguments)) or detected[-1]
    )
    ask = Options(model=str(brightness_model), detector="none", shard=shard)
    found = dry_run(str(photos), str(tmp_path / "out"), options=ask)
    places = [[path.name for path in paths].index(name) for name in names]
    assert found.tried == len(names) == len(set(names)) >= least
    assert found.tried <= 32
    assert min(places) < 10
    assert max(places) >= 30
    assert detected
    assert found.seconds > 0


@pytest.mark.parametrize("sample", [1.0, 0.3, 0.1])
def test_an_estimate_of_rows(
    sample: float, photos: Path, tmp_path: Path, brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [path.read_bytes() for path in sorted(photos.rglob("*.png"))] * 5
    pq.write_table(pa.table({"image": contents}), tmp_path / "in.parquet", row_group_size=30)
    names = tried(monkeypatch)
    ask = Options(model=str(brightness_model), detector="none", sample=sample)
    found = dry_run(str(tmp_path / "in.parquet"), str(tmp_path / "out"), options=ask)
    assert 0 < found.tried == len(set(names)) <= 32
    rows = [int(name.rpartition("#")[2]) for name in names]
    assert min(rows) < 100 <= max(rows)
    assert found.seconds > 0

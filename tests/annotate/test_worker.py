"""The work on one shard: whoever dies of it, no picture but the guilty one is passed over. (Who dies raises here.)"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.annotate.storage import read_at_most

pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")
import pyarrow.parquet as pq

from mien.analyzer import Analyzer
from mien.annotate import columns, prefetch
from mien.annotate.listing import list_input
from mien.annotate.model_bundle import ModelBundle
from mien.annotate.plan import Options, complete
from mien.annotate.run import draft_plan
from mien.annotate.shard_output import ShardOutput, saved_summary
from mien.annotate.storage import Folder
from mien.annotate.worker import Report, Worker

PICTURES = 20


class Died(BaseException):
    """What stands for the death of a process: nothing on the way takes it for an error."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Grey pictures, each of its own width."""
    (tmp_path / "photos").mkdir()
    for number in range(PICTURES):
        Image.fromarray(np.full((50, 50 + number), 9, np.uint8)).save(tmp_path / "photos" / f"{number:02d}.png")
    return tmp_path / "photos"


@pytest.fixture
def rows(photos: Path, parquet: Callable[..., bytes]) -> Path:
    """The same pictures, in one row group of a Parquet file."""
    path = photos.parent / "rows.parquet"
    paths = sorted(photos.iterdir())
    path.write_bytes(parquet({"image": [path.read_bytes() for path in paths], "id": [path.name for path in paths]}))
    return path


@pytest.fixture
def work(brightness_model: Path, tmp_path: Path) -> Any:
    """A function that plans a shard of all pictures, and lets workers die of it until one reports."""

    def go(source: Path, look: Any = int, **options: Any) -> tuple[Report, list[str]]:
        bundle = ModelBundle.gather(Options(model=str(brightness_model), detector="none"))
        listing, out = list_input(str(source)), Folder(str(tmp_path / "out"))
        bundle.save(out)
        complete(draft_plan(listing, Options(shard=PICTURES, **options), bundle), listing, out)
        for _ in range(40):
            try:
                report = Worker(out.everywhere, None, "run").work(0, look)
            except Died:
                continue
            assert report.done == saved_summary(out, 0)
            assert report.problem is None or "\n" not in report.problem
            if report.done is None:
                return report, []
            errors = pq.read_table(tmp_path / "out" / "errors").to_pylist()
            assert {error["kind"] for error in errors} <= {"killed"}
            assert len(pq.read_table(tmp_path / "out" / "faces")) == PICTURES - len(errors)
            return report, [Path(error["source"]).name for error in errors]
        pytest.fail("workers die of it for ever")

    return go


def die_in_judging(patch: pytest.MonkeyPatch, guilty: set[int]) -> None:
    classify = Analyzer._classify

    def deadly(self: Analyzer, batch: Any) -> Any:
        if any(looked.picture.image.shape[1] - 50 in guilty for looked in batch):
            raise Died
        return classify(self, batch)

    patch.setattr(Analyzer, "_classify", deadly)


def die_in_decoding(patch: pytest.MonkeyPatch, guilty: set[int]) -> None:
    read = Analyzer._read

    def deadly(self: Analyzer, *arguments: Any) -> Any:
        picture = read(self, *arguments)
        if picture.image.shape[1] - 50 in guilty:
            raise Died
        return picture

    patch.setattr(Analyzer, "_read", deadly)


def die_in_fetching(patch: pytest.MonkeyPatch, guilty: set[int]) -> None:
    read = read_at_most

    def deadly(system: Any, path: str, limit: int) -> bytes:
        if int(Path(path).stem) in guilty:
            raise Died
        return read(system, path, limit)

    patch.setattr(prefetch, "read_at_most", deadly)


@pytest.mark.parametrize("guilty", [{0}, {7}, {PICTURES - 1}, {3, 4, 18}], ids=str)
@pytest.mark.parametrize("die", [die_in_judging, die_in_decoding, die_in_fetching])
def test_only_the_guilty_picture_is_skipped(
    die: Any, guilty: set[int], work: Any, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(monkeypatch, guilty)
    report, killed = work(photos)
    assert killed == [f"{number:02d}.png" for number in sorted(guilty)]
    assert report.done.errors == {"killed": len(guilty)}


@pytest.mark.parametrize("guilty", [{0}, {3, 17}], ids=str)
@pytest.mark.parametrize("die", [die_in_judging, die_in_decoding])
def test_only_the_guilty_row_is_skipped(
    die: Any, guilty: set[int], work: Any, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(monkeypatch, guilty)
    assert work(rows, id_column="id")[1] == [f"{number:02d}.png" for number in sorted(guilty)]


def test_who_dies_of_fetching_the_first_picture_had_begun(
    work: Any, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would pass for a process that cannot begin at all."""
    looked: list[int] = []
    nothing: dict[str, bool] = {}
    die_in_fetching(monkeypatch, set(range(PICTURES)))
    with pytest.raises(LookupError):
        work(photos, lambda number: looked.append(number) or nothing["stop"])
    assert looked == [0]


def test_who_dies_of_writing_blames_no_picture(work: Any, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deadly(_: ShardOutput) -> Any:
        raise Died

    monkeypatch.setattr(ShardOutput, "_tables", deadly)
    report, _ = work(photos)
    assert report == Report(0, None, "shard 0: 8 workers crashed in it, and no picture was at fault")


@pytest.mark.parametrize("at", [0, 16])
def test_who_dies_of_reading_many_rows_at_once_gives_none_up(
    at: int, work: Any, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are read 16 at a time, and nobody knows which of them it was."""
    read = columns.rows

    def deadly(*arguments: Any) -> Any:
        for row in read(*arguments):
            if row[0] == at:
                raise Died
            yield row

    monkeypatch.setattr(prefetch, "rows", deadly)
    report, _ = work(rows)
    assert report.done is None
    assert "no picture was at fault" in report.problem


def test_a_worker_that_dies_now_and_then_passes_nothing_over(
    work: Any, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else kills it, each time at another picture."""
    left = [12, 3, 9, 14, 1]
    classify = Analyzer._classify
    sizes: list[int] = []

    def deadly(self: Analyzer, batch: Any) -> Any:
        sizes.append(len(batch))
        if left and sum(sizes) > left[0]:
            left.pop(0)
            sizes.clear()
            raise Died
        return classify(self, batch)

    monkeypatch.setattr(Analyzer, "_classify", deadly)
    assert work(photos)[1] == []
    assert not left


def test_ctrl_c_gets_out_and_leaves_no_thread(work: Any, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    monkeypatch.setattr(ShardOutput, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        work(photos)
    until = time.monotonic() + 60
    while threading.active_count() > before:
        assert time.monotonic() < until, "threads are left"
        time.sleep(0.01)

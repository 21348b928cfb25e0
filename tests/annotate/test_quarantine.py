from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.annotate.quarantine import KILLED, Attempts
from mien.annotate.storage import Folder
from mien.errors import StorageError

pytest.importorskip("fsspec")

NOTE = "plan/attempts/000005.json"


@pytest.fixture
def out(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path))


def begin(out: Folder, run: str = "run") -> Attempts:
    return Attempts(out, 5, run)


def test_two_attempts_are_hasty_and_the_rest_careful(out: Folder) -> None:
    assert [begin(out).one_by_one for _ in range(5)] == [False, False, True, True, True]


def test_an_attempt_is_noted_before_it_begins(out: Folder) -> None:
    begin(out)
    assert json.loads(out.read(NOTE) or b"") == {"run": "run", "count": 1, "at": None, "deaths": {}}


def test_the_picture_at_which_two_attempts_ended_is_skipped(out: Folder) -> None:
    begin(out)
    begin(out)
    for deaths in range(2):
        attempts = begin(out)
        assert attempts.one_by_one
        assert attempts.skipped == frozenset()
        for number in range(8 - deaths):  # another one after 7, the second time
            attempts.note_picture(number)
        attempts.note_picture(7)
    attempts = begin(out)
    assert attempts.skipped == {7}
    attempts.note_picture(9)
    assert begin(out).skipped == {7}
    assert "2 times" in KILLED.reason
    assert KILLED.kind == "killed"


def test_several_pictures_can_be_at_fault(out: Folder) -> None:
    begin(out)
    begin(out)
    for number in range(20):
        for _ in range(2):
            begin(out).note_picture(number)
    assert begin(out).skipped == set(range(20))


def test_a_death_between_pictures_is_no_pictures_fault(out: Folder) -> None:
    for _ in range(8):
        assert begin(out).skipped == frozenset()


def test_after_too_many_deaths_without_a_picture_it_gives_up(out: Folder) -> None:
    for _ in range(8):
        begin(out)
    with pytest.raises(StorageError, match="shard 5: 8 workers crashed in it, and no picture was at fault"):
        begin(out)
    begin(out, "another run")


def test_another_run_starts_anew(out: Folder) -> None:
    begin(out)
    begin(out)
    for _ in range(2):
        begin(out).note_picture(3)
    assert begin(out).skipped == {3}
    other = begin(out, "another")
    assert not other.one_by_one
    assert other.skipped == frozenset()
    assert not begin(out, "another").one_by_one


def test_shards_do_not_mix(out: Folder) -> None:
    for _ in range(3):
        begin(out)
    assert not Attempts(out, 6, "run").one_by_one


def test_once_done_the_attempts_are_forgotten(out: Folder) -> None:
    begin(out)
    begin(out)
    attempts = begin(out)
    attempts.note_picture(1)
    attempts.clear()
    assert out.names("plan/attempts") == []
    assert not begin(out).one_by_one


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"run": "run"}',
        b'{"run": "run", "count": "x", "at": null, "deaths": {}}',
        b'{"run": "run", "count": 2, "at": [], "deaths": {}}',
        b'{"run": "run", "count": 2, "at": null, "deaths": []}',
        b'{"run": "run", "count": 2, "at": null, "deaths": {"x": 1}}',
        b'{"run": "run", "count": 2, "at": null, "deaths": {"1": null}}',
    ],
)
def test_a_damaged_note_counts_as_none(text: bytes, out: Folder) -> None:
    out.write(NOTE, text)
    attempts = begin(out)
    assert not attempts.one_by_one
    assert attempts.skipped == frozenset()


@settings(max_examples=20)
@given(st.integers(0, 200))
def test_a_note_that_was_cut_counts_as_none(at: int) -> None:
    with TemporaryDirectory() as folder:
        out = Folder(folder)
        for _ in range(3):
            begin(out).note_picture(1)
        text = out.read(NOTE) or b""
        out.write(NOTE, text[: at % len(text)])
        assert not begin(out).one_by_one


def test_a_note_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(b"")
    with pytest.raises(StorageError):
        begin(Folder(str(tmp_path)))

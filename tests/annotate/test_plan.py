from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.annotate import plan as planning
from mien.annotate.columns import Columns
from mien.annotate.listing import Listing, Naming, list_input
from mien.annotate.plan import Options, Plan, Shard, Shards, complete, cut, is_sampled, saved_plan, shard_size
from mien.annotate.run import draft_plan
from mien.annotate.storage import Folder
from mien.errors import ConfigError, StorageError
from mien.options import AnalyzerOptions

pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")

PATHS = st.binary(min_size=1, max_size=12).map(lambda name: name.decode("utf-8", "surrogateescape"))


def bare(options: Options, kind: Any = "pictures") -> Plan:
    columns = Columns("image") if kind == "parquet" else None
    model = {"id": "m 1", "sha256": "0", "classes": ["a"]}
    return Plan("1.0", "/in", kind, Naming("/in", ""), columns, options, model, {"name": "whole", "sha256": None})


def planned(plan: Plan, paths: list[str], out: Folder | None = None) -> tuple[Plan, list[Shard]]:
    shards: list[Shard] = []
    listing = Listing(plan.input, plan.kind, plan.naming, iter(paths))
    return complete(plan, listing, out, on_shard=shards.append), shards


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 30))
def test_ranges_cover_the_rows_in_order_and_keep_row_groups_whole(sizes: list[int], most: int) -> None:
    ranges = list(cut(sizes, most))
    assert [row for start, stop in ranges for row in range(start, stop)] == list(range(sum(sizes)))
    assert all(0 < stop - start <= most for start, stop in ranges)
    edges = {edge for one in ranges for edge in one}
    begins = 0
    for size in sizes:
        inside = {edge for edge in edges if begins < edge < begins + size}
        assert (size > most) == bool(inside)
        begins += size


@given(st.lists(st.integers(1, 5), min_size=2))
def test_small_row_groups_go_together_as_long_as_they_fit(sizes: list[int]) -> None:
    ranges = list(cut(sizes, 10))
    for (start, stop), (_, after) in pairwise(ranges):
        following = next(size for size, begins in zip(sizes, _begins(sizes), strict=True) if begins == stop)
        assert stop - start + following > 10
        assert after > stop


def _begins(sizes: list[int]) -> list[int]:
    return [sum(sizes[:number]) for number in range(len(sizes))]


@given(
    st.lists(PATHS, min_size=1, max_size=60),
    st.none() | st.integers(1, 12),
    st.none() | st.integers(1, 70),
    st.sampled_from([1.0, 0.5, 0.05]),
)
def test_shards_hold_each_path_once_in_order_and_are_read_back(
    paths: list[str], shard: int | None, limit: int | None, sample: float
) -> None:
    options = Options(shard=shard, limit=limit, sample=sample)
    expected = [path for path in paths if bare(options).takes(path)][:limit]
    if not expected:
        with pytest.raises(ConfigError, match="names no picture in the sample"):
            planned(bare(options), paths)
        return
    with TemporaryDirectory() as folder:
        out = Folder(folder)
        plan, shards = planned(bare(options), paths, out)
        assert [path for one in shards for path in one.paths] == expected
        assert [one.number for one in shards] == list(range(plan.shards))
        assert all(0 < len(one.paths) <= (shard or 16) for one in shards)
        assert plan.pictures == len(expected)
        kept = Shards(out)
        assert [kept[number] for number in range(plan.shards)] == shards
        assert kept[0] == shards[0]
        assert saved_plan(out) == plan
    again, same = planned(bare(options), paths)
    assert (again.digest, again.pictures, same) == (plan.digest, plan.pictures, shards)


@given(
    st.lists(st.lists(st.integers(0, 30), max_size=5), min_size=1, max_size=5),
    st.none() | st.integers(1, 25),
    st.none() | st.integers(1, 100),
    st.sampled_from([1.0, 0.5, 0.1]),
)
def test_shards_hold_each_row_once_in_order_and_are_read_back(
    groups: list[list[int]], shard: int | None, limit: int | None, sample: float
) -> None:
    files = {f"/in/{number}-\udcff.parquet": sizes for number, sizes in enumerate(groups)}
    options = Options(shard=shard, limit=limit, sample=sample)
    rows = [(file, row) for file, sizes in files.items() for row in range(sum(sizes))]
    expected = [(file, row) for file, row in rows if bare(options, "parquet").takes(file, row)][:limit]
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(planning, "row_groups", lambda path, _: files[path])
        if not expected:
            with pytest.raises(ConfigError, match="names no picture"):
                planned(bare(options, "parquet"), list(files))
            return
        out = Folder(folder)
        plan, shards = planned(bare(options, "parquet"), list(files), out)
        held = [
            (one.file, row) for one in shards for row in range(one.start, one.stop) if plan.takes(str(one.file), row)
        ]
        assert held == expected
        assert plan.pictures == len(expected)
        assert all(one.stop > one.start and not one.paths for one in shards)
        kept = Shards(out)
        assert [kept[number] for number in range(plan.shards)] == shards
        again, same = planned(bare(options, "parquet"), list(files))
        assert (again.digest, same) == (plan.digest, shards)


def test_shards_beyond_one_file_are_read_back_in_any_order(tmp_path: Path) -> None:
    out = Folder(str(tmp_path))
    plan, shards = planned(bare(Options(shard=1)), [f"/in/{number}.jpg" for number in range(200)], out)
    assert plan.shards == 200
    assert len(out.names("plan")) == 5
    kept = Shards(out)
    for number in (199, 0, 64, 63, 128, 127):
        assert kept[number] == shards[number]


@pytest.mark.parametrize("change", ["more", "order", "name"])
def test_the_digest_tells_other_inputs_apart(change: str) -> None:
    paths = ["/in/a.jpg", "/in/b.jpg", "/in/c.jpg"]
    others = {"more": [*paths, "/in/d.jpg"], "order": paths[::-1], "name": ["/in/a.jp", "g/in/b.jpg", "/in/c.jpg"]}
    assert planned(bare(Options()), paths)[0].digest != planned(bare(Options()), others[change])[0].digest


def test_an_input_without_pictures_is_refused(tmp_path: Path) -> None:
    out = Folder(str(tmp_path))
    with pytest.raises(ConfigError, match=r"names no picture$"):
        planned(bare(Options()), [], out)
    assert saved_plan(out) is None


def test_folders_that_cannot_be_read_are_in_the_plan(tmp_path: Path) -> None:
    out = Folder(str(tmp_path))
    listing = Listing("/in", "pictures", Naming("/in", ""), iter(["/in/a.jpg"]))
    listing.unreadable.append("in/b: cannot be read: denied")
    assert complete(bare(Options()), listing, out).unreadable == ("in/b: cannot be read: denied",)
    kept = saved_plan(out)
    assert kept is not None
    assert kept.unreadable == ("in/b: cannot be read: denied",)


def test_a_plan_of_real_parquet_files(tmp_path: Path, parquet: Callable[..., bytes]) -> None:
    (tmp_path / "in").mkdir()
    for name, sizes in (("a", [3, 3, 3]), ("b", [10])):
        content = parquet({"image": [b"x"] * sum(sizes), "id": list(range(sum(sizes)))}, sizes)
        (tmp_path / "in" / f"{name}.parquet").write_bytes(content)
    bundle: Any = type("", (), {"model_record": {"id": "m", "classes": []}, "detector_record": {"name": "whole"}})
    listing = list_input(str(tmp_path / "in"))
    plan = draft_plan(listing, Options(shard=6, id_column="id"), bundle)
    assert plan.columns == Columns("image", "id")
    shards: list[Shard] = []
    assert complete(plan, listing, None, on_shard=shards.append).pictures == 19
    names = [(Path(str(shard.file)).name, shard.start, shard.stop) for shard in shards]
    assert names == [("a.parquet", 0, 6), ("a.parquet", 6, 9), ("b.parquet", 0, 5), ("b.parquet", 5, 10)]


def test_columns_are_refused_for_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    for options in (Options(image_column="x"), Options(id_column="x")):
        with pytest.raises(ConfigError, match="columns are those of Parquet input"):
            draft_plan(list_input(str(tmp_path)), options, None)  # type: ignore[arg-type]


CHANGED = AnalyzerOptions(min_face=1.5, min_face_score=0.5, uncertain_below=0.4, flip=True, max_pixels=9)


@pytest.mark.parametrize(
    "plan_of",
    [
        lambda plan: plan,
        lambda plan: replace(plan, kind="parquet", columns=Columns("image", "id"), unreadable=("a", "b")),
        lambda plan: replace(plan, naming=Naming("/in/\udcff", "ä\udcff", "::x.zip", "zip://"), digest="0f"),
        lambda plan: replace(
            plan,
            options=Options(analyzer=CHANGED, image_column="i", id_column="n", sample=0.25, limit=3, shard=4),
            pictures=5,
            shards=2,
        ),
    ],
)
def test_a_plan_is_read_back_as_it_was_written(plan_of: Callable[[Plan], Plan], plan: Callable[..., Plan]) -> None:
    made = plan_of(plan())
    assert Plan.from_json(made.to_json()) == made
    assert Plan.from_json(made.to_json().encode()) == made


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values | {"schema": 2}, "has schema 2, this Mien reads 1"),
        (lambda values: values | {"other": 2}, "damaged"),
        (lambda values: {key: value for key, value in values.items() if key != "options"}, "damaged"),
        (lambda values: {key: value for key, value in values.items() if key != "input"}, "damaged"),
        (lambda values: {key: value for key, value in values.items() if key != "schema"}, "damaged"),
        (lambda values: values | {"naming": 1}, "damaged"),
        (lambda values: values | {"columns": {"x": 1}}, "damaged"),
        (lambda values: values | {"lost": None}, "damaged"),
        (lambda values: [values], "damaged"),
        (lambda _: None, "damaged"),
    ],
)
def test_a_damaged_plan_is_refused(change: Any, words: str, plan: Callable[..., Plan], tmp_path: Path) -> None:
    text = json.dumps(change(json.loads(plan().to_json())))
    with pytest.raises(ConfigError, match=words):
        Plan.from_json(text)
    out = Folder(str(tmp_path))
    out.write("plan/plan.json", text.encode())
    with pytest.raises(ConfigError, match=f"^{tmp_path}: the plan .*; delete the folder, or name another$"):
        saved_plan(out)


@pytest.mark.parametrize(
    "change",
    [
        {"model": 1},
        {"model": {"id": "a"}},
        {"detector": {"name": 1, "sha256": None}},
        {"pictures": "3"},
        {"passed": []},
    ],
)
def test_a_plan_of_other_types_is_refused_though_its_hash_is_right(
    change: dict[str, Any], plan: Callable[..., Plan]
) -> None:
    values = json.loads(plan().to_json()) | change
    given = {key: value for key, value in values.items() if key not in ("schema", "sha256")}
    values["sha256"] = sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
    with pytest.raises(ConfigError, match="the plan is damaged"):
        Plan.from_json(json.dumps(values))


def test_a_plan_that_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(ConfigError, match="the plan is damaged"):
        Plan.from_json("[" * 100_000)


@pytest.mark.parametrize(
    "edit",
    [
        lambda v: v["options"].update(min_face=30.0),
        lambda v: v.update(pictures=7),
        lambda v: v.update(unreadable=["x"]),
    ],
)
def test_a_plan_edited_by_hand_is_refused(edit: Any, plan: Callable[..., Plan]) -> None:
    values = json.loads(plan(pictures=5).to_json())
    assert Plan.from_json(json.dumps(values)).pictures == 5
    edit(values)
    with pytest.raises(ConfigError, match="the plan is damaged: its hash differs"):
        Plan.from_json(json.dumps(values))


@given(st.data())
def test_a_cut_plan_is_refused(data: st.DataObject) -> None:
    text = bare(Options()).to_json()
    with pytest.raises(ConfigError, match="damaged"):
        Plan.from_json(text[: data.draw(st.integers(0, len(text) - 1))])


def test_no_plan_is_none(tmp_path: Path) -> None:
    assert saved_plan(Folder(str(tmp_path / "new"))) is None


@settings(max_examples=60)
@given(st.data())
def test_damaged_shards_are_found_out(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        out = Folder(folder)
        plan, shards = planned(bare(Options(shard=7)), [f"/in/{number}.jpg" for number in range(40)], out)
        name = "plan/shards-000000.parquet"
        content = bytearray(out.read(name) or b"")
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content = content[:at]
        else:
            content[at] ^= data.draw(st.integers(1, 255))
        out.write(name, bytes(content))
        kept = Shards(out)
        for number in range(plan.shards):
            try:
                assert kept[number] == shards[number]
            except StorageError as error:
                assert str(error).startswith(f"{folder}: {name} is damaged: ")  # noqa: PT017 - or none is raised
                assert "\n" not in str(error)  # noqa: PT017 - as above


@pytest.mark.parametrize("column", [b"path", b"start", b"stop"])
def test_shards_whose_columns_are_damaged_are_found_out(tmp_path: Path, column: bytes) -> None:
    out = Folder(str(tmp_path))
    planned(bare(Options(shard=7)), ["/in/a.jpg"], out)
    name = "plan/shards-000000.parquet"
    out.write(name, (out.read(name) or b"").replace(column, b"x" + column[1:]))
    with pytest.raises(StorageError, match="is damaged"):
        Shards(out)[0]


def test_missing_shards_are_told(tmp_path: Path) -> None:
    out = Folder(str(tmp_path))
    planned(bare(Options()), ["/in/a.jpg"], out)
    with pytest.raises(StorageError, match="is damaged"):
        Shards(out)[1]
    with pytest.raises(StorageError, match=r"shards-000001\.parquet is missing"):
        Shards(out)[64]


CHANGES: list[tuple[dict[str, Any], list[str]]] = [
    ({"version": "2.0"}, ["Mien 1.0, not 2.0"]),
    ({"input": "/x"}, ["input /in, not /x"]),
    ({"model": {"id": "n 2", "sha256": "1", "classes": ["a"]}}, ["model m 1, not n 2"]),
    ({"model": {"id": "m 1", "sha256": "1", "classes": ["a"]}}, ["another file of the model"]),
    ({"detector": {"name": "yunet", "sha256": "1"}}, ["detector whole, not yunet"]),
    ({"detector": {"name": "whole", "sha256": "1"}}, ["another file of the detector"]),
    ({"digest": "y", "pictures": 1234}, ["5 pictures, and the input now holds 1,234, or others"]),
    ({"digest": ""}, []),
    ({"created": "2000-01-01"}, []),
]


@pytest.mark.parametrize(("changes", "told"), CHANGES)
def test_what_would_give_other_rows_is_told(changes: dict[str, Any], told: list[str]) -> None:
    kept = replace(bare(Options()), digest="x", pictures=5)
    assert kept.differences(replace(kept, **changes)) == told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_face", 7.0),
        ("min_face_score", 0.1),
        ("uncertain_below", 0.1),
        ("flip", True),
        ("max_pixels", 7),
        ("image_column", "x"),
        ("id_column", "x"),
        ("sample", 0.5),
        ("limit", 7),
        ("shard", 7),
    ],
)
def test_each_option_makes_a_difference(name: str, value: Any) -> None:
    kept = bare(Options())
    before = kept.options.to_dict()[name]
    other = replace(kept, options=Options.from_dict(kept.options.to_dict() | {name: value}), digest="y")
    assert kept.differences(other) == [f"{name} {'none' if before is None else before}, not {value}"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample": 0.0},
        {"sample": -0.1},
        {"sample": 1.01},
        {"sample": float("nan")},
        {"limit": 0},
        {"shard": 0},
        {"shard": -1},
        {"shard": 1_000_001},
    ],
)
def test_options_outside_their_ranges_are_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"^{name} must be "):
        Options(**wrong)


@given(st.integers(1, 10**9), st.integers(0, 10**6))
def test_more_pictures_make_no_smaller_shards(pictures: int, more: int) -> None:
    assert 16 <= shard_size(pictures) <= shard_size(pictures + more) <= 1000


@given(st.sampled_from([0.01, 0.1, 0.5, 0.9]), st.text("abc/", max_size=5))
def test_a_sample_is_about_as_large_as_asked_for(share: float, folder: str) -> None:
    number = 4000
    taken = sum(is_sampled(f"{folder}/{index}.jpg", share) for index in range(number))
    assert abs(taken - share * number) < 6 * (share * (1 - share) * number) ** 0.5


@given(st.text("abc/", min_size=1, max_size=9), st.none() | st.integers(0, 99), st.floats(0.01, 0.99))
def test_a_sample_is_the_same_wherever_the_input_lies(below: str, row: int | None, sample: float) -> None:
    here, there = (replace(bare(Options(sample=sample)), naming=Naming(root, "")) for root in ("/in", "/data/faces/"))
    assert here.takes(f"/in/{below}", row) == there.takes(f"/data/faces/{below}", row)
    one, other = (replace(here, naming=Naming(root, "")) for root in ("/in/x.parquet", "/data/x.parquet"))
    assert one.takes("/in/x.parquet", row) == other.takes("/data/x.parquet", row)


@given(PATHS, st.floats(0.001, 1), st.floats(0.001, 1))
def test_a_larger_sample_holds_the_smaller_one(path: str, one: float, other: float) -> None:
    assert is_sampled(path, max(one, other)) or not is_sampled(path, min(one, other))
    assert is_sampled(path, 1.0)

"""What is to be done, fixed before it begins: which pictures, in which shards, by which model; saved in OUT."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, Final, cast

from mien.annotate.columns import Columns, row_groups
from mien.annotate.listing import Kind, Listing, Naming
from mien.annotate.storage import Folder
from mien.errors import ConfigError, DataError, StorageError, one_line
from mien.options import AnalyzerOptions

SCHEMA: Final = 1
PLAN: Final = "plan/plan.json"

_LEAST, _MOST, _SHARDS = 16, 1000, 64
_LARGEST: Final = 1_000_000
_SHARDS_A_FILE: Final = 64


@dataclass(frozen=True, slots=True)
class Options:
    """What the rows of a run depend on, besides the pictures.

    model, detector, detector_model
                  as in `mien.load`
    analyzer      how pictures are read and which faces are reported; `reduce` is always on, `formats` are all
    image_column  the column of Parquet input that holds the pictures' bytes; None: found by name and type
    id_column     the column that becomes `source`; None: the file and the row's number
    sample        0..1: the fraction of the pictures that is taken, by a hash of their paths below the input
    limit         at most the first N of those
    shard         pictures in a shard; None: 16 to 1,000, by their number

    Raises ConfigError on values outside their ranges.
    """

    model: str | None = None
    detector: str = "auto"
    detector_model: Path | None = None
    analyzer: AnalyzerOptions = field(default_factory=AnalyzerOptions)
    image_column: str | None = None
    id_column: str | None = None
    sample: float = 1.0
    limit: int | None = None
    shard: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.sample <= 1:
            raise ConfigError(f"sample must be above 0 and at most 1, got {self.sample}")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit must be 1 or more, got {self.limit}")
        if self.shard is not None and not 1 <= self.shard <= _LARGEST:
            raise ConfigError(f"shard must be within 1 and {_LARGEST:,}, got {self.shard}")

    def to_dict(self) -> dict[str, Any]:
        """The options by name, as a plan holds them; of model and detector it holds their hashes instead."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _APART}
        return {name: getattr(self.analyzer, name) for name in _OF_ANALYZER} | own

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Options:
        """The options that `to_dict` gave."""
        own = {name: value for name, value in values.items() if name not in _OF_ANALYZER}
        return cls(analyzer=AnalyzerOptions(**{name: values[name] for name in _OF_ANALYZER}), **own)


_APART: Final = ("model", "detector", "detector_model", "analyzer")
_OF_ANALYZER: Final = tuple(f.name for f in fields(AnalyzerOptions) if f.name not in ("reduce", "formats"))
"""Those of an analyzer's options that results depend on and that may be chosen."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of the work: either the paths of pictures, or rows of a Parquet file from start up to, not with, stop."""

    number: int
    paths: tuple[str, ...] = ()
    file: str | None = None
    start: int = 0
    stop: int = 0


@dataclass(frozen=True)
class Plan:
    """All that is to be done.

    version   of Mien that made it
    input     the input's absolute path or URL
    kind      "pictures" or "parquet"
    naming    how its paths are shown
    columns   of Parquet input
    options   as given
    model     its id, SHA-256 and classes
    detector  its name, and the SHA-256 of its file where it has one
    pictures  their number
    shards    their number
    digest    SHA-256 over the paths, or the Parquet files' names and rows, in their order
    unreadable
              folders and Parquet files of the input that could not be read, with the reason
    passed    how many other files of the input were passed over, by their kind
    created   when, ISO 8601
    """

    version: str
    input: str
    kind: Kind
    naming: Naming
    columns: Columns | None
    options: Options
    model: dict[str, Any]
    detector: dict[str, Any]
    pictures: int = 0
    shards: int = 0
    digest: str = ""
    unreadable: tuple[str, ...] = ()
    passed: dict[str, int] = field(default_factory=dict)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def to_json(self) -> str:
        """The plan as it is saved, with a hash of itself."""
        values = asdict(self) | {"options": self.options.to_dict()}
        values["lost"] = values.pop("unreadable")
        return json.dumps({"schema": SCHEMA, "sha256": _hash(values), **values}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Read what `to_json` wrote. Raises ConfigError on anything else."""
        try:
            values = json.loads(text)
            schema = values.pop("schema")
            if schema != SCHEMA:
                raise ConfigError(f"the plan has schema {schema}, this Mien reads {SCHEMA}")
            if values.pop("sha256") != _hash(values):
                raise ConfigError("the plan is damaged: its hash differs")
            _check_types(values)
            columns = values["columns"]
            unreadable = tuple(values.pop("lost"))
            return cls(
                **{
                    **values,
                    "naming": Naming(**values["naming"]),
                    "columns": None if columns is None else Columns(**columns),
                    "options": Options.from_dict(values["options"]),
                    "unreadable": unreadable,
                }
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ConfigError(f"the plan is damaged: {one_line(error)}") from error

    def takes(self, path: str, row: int | None = None) -> bool:
        """Whether a picture, or a row of a Parquet file, is in the sample: the same wherever the input lies."""
        name = self.naming.below(path)
        return is_sampled(name if row is None else row_name(name, row), self.options.sample)

    def differences(self, other: Plan) -> list[str]:
        """What of another plan would give other rows than this one, in words."""
        others = other.options.to_dict()
        found = [
            f"{name} {_shown(mine)}, not {_shown(its)}"
            for name, mine, its in (
                ("Mien", self.version, other.version),
                ("input", self.input, other.input),
                ("model", self.model["id"], other.model["id"]),
                ("detector", self.detector["name"], other.detector["name"]),
                ("columns", self.columns, other.columns),
                *((name, mine, others[name]) for name, mine in self.options.to_dict().items()),
            )
            if mine != its
        ]
        if not found and self.model != other.model:
            found.append("another file of the model")
        if not found and self.detector != other.detector:
            found.append("another file of the detector")
        if not found and other.digest and self.digest != other.digest:
            found.append(f"{self.pictures:,} pictures, and the input now holds {other.pictures:,}, or others")
        return found


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


_TYPES: Final[Mapping[str, type]] = {
    **dict.fromkeys(("version", "input", "digest", "created"), str),
    **dict.fromkeys(("model", "detector", "passed"), dict),
    **dict.fromkeys(("pictures", "shards"), int),
}


def _check_types(values: Mapping[str, Any]) -> None:
    """Raise ValueError where a saved value is of another type than the plan's."""
    model, detector = values["model"], values["detector"]
    wrong = [name for name, kind in _TYPES.items() if not isinstance(values[name], kind)]
    if not wrong and not all(isinstance(model[key], kind) for key, kind in _MODEL.items()):
        wrong = ["model"]
    if not wrong and not (isinstance(detector["name"], str) and isinstance(detector["sha256"], str | None)):
        wrong = ["detector"]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} of another type")


_MODEL: Final[Mapping[str, type]] = {"id": str, "sha256": str, "classes": list}


def _hash(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def complete(
    plan: Plan, listing: Listing, out: Folder | None, *, on_shard: Callable[[Shard], object] = lambda _: None
) -> Plan:
    """The plan with its pictures counted and cut into shards; with a folder, both are saved there.

    Nothing but a fixed number of paths is in memory at a time. Raises ConfigError where no picture is left.
    """
    digest = hashlib.sha256()
    shards = (_parquet_shards if plan.kind == "parquet" else _picture_shards)(plan, listing, digest)
    number = pictures = 0
    while batch := list(islice(shards, _SHARDS_A_FILE)):
        if out is not None:
            out.write(_shard_file(number), _packed(batch))
        number += len(batch)
        for shard, count in batch:
            pictures += count
            on_shard(shard)
    plan = replace(plan, pictures=pictures, shards=number, digest=digest.hexdigest())
    plan = replace(plan, unreadable=tuple(listing.unreadable), passed=dict(listing.passed))
    if not pictures:
        raise ConfigError(f"{listing.url}: names no picture" + (" in the sample" if plan.options.sample < 1 else ""))
    if out is not None:
        out.write(PLAN, plan.to_json().encode())
    return plan


def saved_plan(out: Folder) -> Plan | None:
    """The plan that a folder holds, or None. Raises ConfigError where it is damaged."""
    text = out.read(PLAN)
    try:
        return None if text is None else Plan.from_json(text)
    except ConfigError as error:
        raise ConfigError(f"{out.url}: {error}; delete the folder, or name another") from error


class Shards:
    """The shards of the plan in a folder, by their numbers."""

    def __init__(self, out: Folder) -> None:
        self._out = out
        self._file, self._opened = -1, cast(Any, None)

    def __getitem__(self, number: int) -> Shard:
        """A shard. Raises StorageError where the plan's file is missing or damaged."""
        name = _shard_file(number)
        try:
            if self._opened is None or self._file != number // _SHARDS_A_FILE:
                content = self._out.read(name)
                if content is None:
                    raise StorageError(f"{self._out.url}: {name} is missing: delete the folder, or name another")
                self._file, self._opened = number // _SHARDS_A_FILE, _open_packed(content)
            rows = self._opened.read_row_group(number % _SHARDS_A_FILE).to_pydict()
            paths = tuple(path.decode("utf-8", "surrogateescape") for path in rows["path"])
            start, stop = rows["start"][0], rows["stop"][0]
        except StorageError:
            raise
        except Exception as error:  # pyarrow raises nearly anything of a damaged file
            raise StorageError(
                f"{self._out.url}: {name} is damaged: {one_line(error)}; delete the folder, or name another"
            ) from error
        if start is None:
            return Shard(number, paths)
        return Shard(number, file=paths[0], start=start, stop=stop)


def is_sampled(path: str, fraction: float) -> bool:
    """Whether the picture of this name is in the sample, decided by a hash of the name."""
    if fraction >= 1:
        return True
    key = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(key, "big") < fraction * 2**64


def row_name(path: str, row: int) -> str:
    """The name of a row of a Parquet file without names; rows count from 0."""
    return f"{path}#{row}"


def cut(sizes: Iterable[int], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows, from start up to stop, that cover row groups of these sizes in order.

    Whole row groups go together while they have at most `most` rows; a larger one is cut into even parts.
    """
    start = stop = 0
    for size in sizes:
        if stop > start and stop - start + size > most:
            yield start, stop
            start = stop
        if size > most:
            parts = math.ceil(size / most)
            edges = [stop + size * part // parts for part in range(parts + 1)]
            yield from pairwise(edges)
            start = stop = stop + size
        else:
            stop += size
    if stop > start:
        yield start, stop


def shard_size(pictures: int) -> int:
    """The number of pictures in a shard by default: enough shards for many workers, not too many files."""
    return min(_MOST, max(_LEAST, math.ceil(pictures / _SHARDS)))


def _picture_shards(plan: Plan, listing: Listing, digest: Any) -> Iterator[tuple[Shard, int]]:
    chosen = (path for path in listing.paths if plan.takes(path))
    paths = islice(chosen, plan.options.limit)
    first = list(islice(paths, _MOST * _SHARDS))  # from this number on the size of a shard no longer depends on it
    size = plan.options.shard or shard_size(len(first))
    every, number = chain(first, paths), 0
    while part := tuple(islice(every, size)):
        for path in part:
            encoded = path.encode("utf-8", "surrogateescape")
            digest.update(len(encoded).to_bytes(4, "big") + encoded)
        yield Shard(number, part), len(part)
        number += 1


def _parquet_shards(plan: Plan, listing: Listing, digest: Any) -> Iterator[tuple[Shard, int]]:
    files = []
    for path in listing.paths:
        try:
            files.append((path, row_groups(path, listing.url)))
        except DataError as error:
            listing.unreadable.append(str(error))
    size = plan.options.shard or shard_size(sum(sum(sizes) for _, sizes in files))
    left, number = plan.options.limit, 0
    for path, sizes in files:
        digest.update(json.dumps([path.encode("utf-8", "backslashreplace").decode(), sizes]).encode())
        for start, stop in cut(sizes, size):
            rows = [row for row in range(start, stop) if plan.takes(path, row)]
            if left is not None:
                rows = rows[:left]
                left -= len(rows)
            if rows:
                yield Shard(number, file=path, start=start, stop=rows[-1] + 1), len(rows)
                number += 1
            if left == 0:
                return


def _packed(shards: list[tuple[Shard, int]]) -> bytes:
    """Shards as a Parquet file, a row group a shard."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("path", pa.binary()), ("start", pa.int64()), ("stop", pa.int64())])
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd", write_page_checksum=True) as writer:
        for shard, _ in shards:
            paths = shard.paths if shard.file is None else (shard.file,)
            whole = shard.file is None
            columns = {
                "path": [path.encode("utf-8", "surrogateescape") for path in paths],
                "start": [None if whole else shard.start] * len(paths),
                "stop": [None if whole else shard.stop] * len(paths),
            }
            writer.write_table(pa.table(columns, schema), row_group_size=max(1, len(paths)))
    return buffer.getvalue()


def _open_packed(content: bytes) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)


def _shard_file(number: int) -> str:
    return f"plan/shards-{number // _SHARDS_A_FILE:06d}.parquet"

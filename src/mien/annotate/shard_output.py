"""What a shard leaves behind: a part of the table of faces, one of the table of errors, and its summary.

The summary is written last and holds the hash of both parts, so a part that is missing or damaged is noticed.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any, Final, get_args, get_type_hints

from mien.annotate.prefetch import REDONE, Failure
from mien.annotate.storage import Folder
from mien.records import FaceRow

FACES: Final = "faces"
ERRORS: Final = "errors"
DONE: Final = "plan/done"

_SCHEMA: Final = 1
_OF_STREAMS: Final = ("frame", "time_s", "track")


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """A shard that is done.

    pictures and without_faces count those that were read, errors the others by kind, faces all that were found, and
    emotions these by the likeliest class. seconds is what each stage took, summed over the threads of one worker;
    "all" is the time that passed. files are the parts, by name: bytes and SHA-256.
    """

    shard: int
    pictures: int
    without_faces: int
    faces: int
    errors: Mapping[str, int]
    emotions: Mapping[str, int]
    seconds: Mapping[str, float]
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def items(self) -> int:
        """The pictures of the shard, read or not."""
        return self.pictures + sum(self.errors.values())

    @property
    def needs_retry(self) -> bool:
        """Whether some picture has no result for a reason that may pass: a later run tries the shard again."""
        return not REDONE.isdisjoint(self.errors)

    def to_json(self) -> str:
        """The summary as it is saved."""
        values = asdict(self)
        return json.dumps({"schema": _SCHEMA, "sha256": _digest(values), **values})

    @classmethod
    def from_json(cls, text: str | bytes) -> ShardSummary | None:
        """What `to_json` wrote, or None where the text is anything else."""
        try:
            values = json.loads(text)
            if values.pop("schema") != _SCHEMA or values.pop("sha256") != _digest(values):
                return None
            files = {name: (int(size), str(digest)) for name, (size, digest) in values.pop("files").items()}
            return cls(**values, files=files)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None


class ShardOutput:
    """The rows of one shard, gathered, and then saved in OUT."""

    def __init__(self, shard: int, classes: Sequence[str]) -> None:
        self.shard = shard
        self._classes = classes
        self._rows: list[Mapping[str, Any]] = []
        self._errors: list[tuple[int, str, Failure]] = []
        self._pictures = self._without = 0
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def add(self, source: str, rows: Sequence[Mapping[str, Any]], model: str) -> None:
        """The faces of a picture, as `records.to_rows` has them."""
        self._pictures += 1
        self._without += not rows
        self._rows += [{**row, "source": source, "model": model} for row in rows]

    def fail(self, number: int, source: str, failure: Failure) -> None:
        """A picture that was not read, and its number in the shard. May come from another thread, in any order."""
        self._errors.append((number, source, failure))

    @property
    def items(self) -> int:
        """The pictures so far, read or not."""
        return self._pictures + len(self._errors)

    @property
    def last_reason(self) -> str:
        """Why the last picture without a result has none."""
        return self._errors[-1][2].reason if self._errors else ""

    @property
    def needs_retry(self) -> int:
        """The number of pictures without a result for a reason that may pass."""
        return sum(failure.kind in REDONE for _, _, failure in self._errors)

    def save(self, out: Folder) -> ShardSummary:
        """Write the parts, then the summary. Raises StorageError."""
        began = perf_counter()
        tables = self._tables()
        if part_name(ERRORS, self.shard) not in tables:
            out.remove(part_name(ERRORS, self.shard))  # of an earlier run, in which storage failed
        files = {name: self._write(out, name, table) for name, table in tables.items()}
        self.seconds["write"] = perf_counter() - began
        kinds = Counter(failure.kind for _, _, failure in self._errors)
        done = ShardSummary(
            shard=self.shard,
            pictures=self._pictures,
            without_faces=self._without,
            faces=len(self._rows),
            errors=dict(kinds),
            emotions=dict(Counter(row["emotion"] for row in self._rows)),
            seconds={name: round(seconds, 3) for name, seconds in self.seconds.items()},
            files=files,
        )
        out.write(note_name(self.shard), done.to_json().encode())
        return done

    def _tables(self) -> dict[str, Any]:
        import pyarrow as pa

        schema = faces_schema(self._classes)
        tables = {part_name(FACES, self.shard): pa.Table.from_pylist(self._rows, schema)}
        if self._errors or not self.shard:  # so that the table is there, even if it is empty
            errors = sorted(self._errors, key=lambda error: error[0])
            rows = [{"source": source, "kind": failure.kind, "reason": failure.reason} for _, source, failure in errors]
            tables[part_name(ERRORS, self.shard)] = pa.Table.from_pylist(rows, errors_schema())
        return tables

    @staticmethod
    def _write(out: Folder, name: str, table: Any) -> tuple[int, str]:
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        content = buffer.getvalue()
        out.write(name, content)
        return len(content), hashlib.sha256(content).hexdigest()


def faces_schema(classes: Sequence[str]) -> Any:
    """The columns of the table of faces: those of FaceRow but for a stream's, the probabilities, and the model's id."""
    import pyarrow as pa

    kinds = {str: pa.string(), int: pa.int32(), float: pa.float32(), bool: pa.bool_()}
    fields = []
    for name, hint in get_type_hints(FaceRow).items():
        kind, *null = get_args(hint) or (hint,)
        if name not in _OF_STREAMS:
            fields.append(pa.field(name, kinds[kind], nullable=bool(null) and name != "source"))
    probabilities = (pa.field(f"p_{name}", pa.float32(), nullable=False) for name in classes)
    return pa.schema([*fields, *probabilities, pa.field("model", pa.string(), nullable=False)])


def errors_schema() -> Any:
    """The columns of the table of errors."""
    import pyarrow as pa

    return pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("source", "kind", "reason")])


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def part_name(table: str, shard: int) -> str:
    """Where a shard's part of a table lies."""
    return f"{table}/part-{shard:06d}.parquet"


def note_name(shard: int) -> str:
    """Where the summary of a finished shard is."""
    return f"{DONE}/{shard:06d}.json"


def saved_summary(out: Folder, shard: int) -> ShardSummary | None:
    """The note of a shard that is done, or None where note or parts are missing or damaged. Reads all of them."""
    text = out.read(note_name(shard))
    done = None if text is None else ShardSummary.from_json(text)
    if done is None or done.shard != shard or part_name(FACES, shard) not in done.files:
        return None
    for name, (size, digest) in done.files.items():
        content = out.read(name)
        if content is None or len(content) != size or hashlib.sha256(content).hexdigest() != digest:
            return None
    return done

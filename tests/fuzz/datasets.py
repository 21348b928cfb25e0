"""Fuzz targets: datasets of faces in their forms, and packs."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from mien.data.pack import DESCRIPTION, open_pack, verify
from mien.data.packing import write_pack
from mien.data.readers import read_faces
from mien.data.readers.labels import parse_labels
from mien.errors import MienError

from .target import Run, Target

_KAGGLE = b"emotion,pixels,Usage\n" + b"".join(
    b"%d,%s,%s\n" % (code, b" ".join([b"%d" % code] * 2304), usage)
    for code, usage in enumerate((b"Training", b"PublicTest", b"PrivateTest"))
)
_MANIFEST = b'path,label,split\na.png,happy,train\n"a.png",3,test\na.png,contempt,\n'
_VOTES = b'fer0000000.png,"(0, 0, 48, 48)",0,4,0,0,1,0,0,0,0,0\n'


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(80, dtype=np.uint8).reshape(8, 10)).save(buffer, "PNG")
    return buffer.getvalue()


def _read_every_way(path: Path) -> None:
    for options in ({"skip_bad": True}, {"own_classes": True, "skip_bad": True}, {"labelled": False}):
        with suppress(MienError):
            dataset = read_faces(path, **options)  # type: ignore[arg-type]
            assert dataset.faces.shape[1:] == (48, 48)
            assert len(dataset.labels) == len(dataset.faces) == len(dataset.split)


def _file(folder: Path) -> Run:
    """A file in whatever form: its content says which."""
    (folder / "a.png").write_bytes(_png())
    path = folder / "faces"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        _read_every_way(path)

    return run


def _csv_seeds() -> list[bytes]:
    tar, packed = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        info = tarfile.TarInfo("fer/faces.csv")
        info.size = len(_MANIFEST)
        archive.addfile(info, io.BytesIO(_MANIFEST))
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr("faces.csv", _MANIFEST)
    return [_KAGGLE, _MANIFEST, gzip.compress(_KAGGLE, mtime=0), packed.getvalue(), gzip.compress(tar.getvalue())]


def _parquet_seeds() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    png = _png()
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["happy", "sad"]}}
    hugging = pa.table({"image": [{"bytes": png, "path": "a.png"}, {"bytes": png, "path": None}], "label": [0, 1]})
    hugging = hugging.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    tables = (
        pa.table({"row": [0, 1], "usage": ["Training", "PublicTest"], "emotion": [3, 4], "image": [png, png]}),
        pa.table({"path": ["a.png"], "label": ["happy"], "split": ["test"]}),
        hugging,
    )
    seeds = []
    for table in tables:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="none", write_statistics=False)
        seeds.append(buffer.getvalue())
    return seeds


def _ferplus(folder: Path) -> Run:
    below = folder / "FER2013Train"
    below.mkdir()
    (below / "fer0000000.png").write_bytes(_png())

    def run(data: bytes) -> None:
        (below / "label.csv").write_bytes(data)
        _read_every_way(folder)

    return run


def _pack(folder: Path) -> Run:
    """One file of a pack in the place of its own: the first byte says which. Its size in pack.json is made to fit."""
    whole = _written_pack(folder)
    names = sorted(whole)

    def run(data: bytes) -> None:
        name, content = names[data[0] % len(names)] if data else names[0], data[1:]
        described = json.loads(whole[DESCRIPTION])
        if name != DESCRIPTION:
            described["files"][name]["bytes"] = len(content)
        for each, was in whole.items():
            (folder / "pack" / each).write_bytes(was)
        (folder / "pack" / DESCRIPTION).write_text(json.dumps(described), encoding="utf-8")
        (folder / "pack" / name).write_bytes(content)
        dataset = open_pack(folder / "pack")
        assert dataset.faces[:].shape == (len(dataset.labels), 48, 48)
        verify(folder / "pack")

    return run


def _written_pack(folder: Path) -> dict[str, bytes]:
    (folder / "a.png").write_bytes(_png())
    (folder / "faces.csv").write_bytes(b"path,label,split\na.png,happy,train\na.png,sad,test\n")
    write_pack(folder / "faces.csv", folder / "pack")
    return {path.name: path.read_bytes() for path in (folder / "pack").iterdir()}


def _pack_seeds() -> list[bytes]:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        files = _written_pack(Path(folder))
    return [bytes([place]) + content for place, (_, content) in enumerate(sorted(files.items()))]


def _labels(_: Path) -> Run:
    """What labels mean, as an option says it."""
    return lambda data: parse_labels(data.decode("utf-8", "surrogateescape"), own_classes=False)


TARGETS = {
    "csv": Target(_file, _csv_seeds),
    "parquet": Target(_file, _parquet_seeds, needs=("pyarrow",)),
    "ferplus": Target(_ferplus, lambda: [_VOTES]),
    "pack": Target(_pack, _pack_seeds),
    "labels": Target(_labels, lambda: [b"1=surprise,2=fear,8=drop", b"happy=,sad=anger"]),
}

"""Hold two commits against each other: what they print, write and exit with on the same inputs.

    git worktree add ../before COMMIT
    python scripts/compare_behavior.py ../before . [--yunet FILE] [--train]

Each command runs once by each tree's src/. Standard output, exit codes, JSON Lines, CSV, Parquet rows and drawn
pictures must be equal; with --train also a small network, trained and exported by both. Lines of standard error are
shown where they differ, and are no failure: words may change. Exits 1 where something else differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

FACES = 60


def make_inputs(folder: Path) -> None:
    """Pictures of several kinds, damaged ones, a short video, a small dataset."""
    rng = np.random.default_rng(0)
    astronaut = Image.fromarray(skimage.data.astronaut())
    astronaut.save(folder / "astronaut.png")
    astronaut.resize((2048, 2048)).save(folder / "large.jpg", quality=95)
    astronaut.rotate(20).convert("L").save(folder / "rolled.jpg")
    Image.fromarray(skimage.data.coffee()).save(folder / "no_face.webp", lossless=True)
    (folder / "broken.jpg").write_bytes((folder / "large.jpg").read_bytes()[:5000])
    (folder / "text.png").write_text("no picture", encoding="utf-8")
    (folder / "album").mkdir()
    for number in range(12):
        values = rng.integers(0, 256, (48 + number, 48, 3), np.uint8)
        Image.fromarray(values).save(folder / "album" / f"{number:02d}.png")
    rows = ["emotion,pixels,Usage"]
    for number in range(FACES):
        pixels = " ".join(map(str, rng.integers(0, 256, 2304)))
        usage = "Training" if number % 4 else "PublicTest"
        rows.append(f"{number % 7},{pixels},{usage}")
    (folder / "fer2013.csv").write_text("\n".join(rows), encoding="utf-8")
    _make_video(folder / "film.mp4", np.asarray(astronaut.resize((256, 256))))


def _make_video(path: Path, face: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 480, 320, "yuv420p"
        for index in range(40):
            image = np.full((320, 480, 3), 60, np.uint8)
            if index < 30:
                image[20:276, 4 * index : 4 * index + 256] = face
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def commands(yunet: str | None, *, train: bool) -> Iterator[list[str]]:
    """The commands, run in a folder that holds the inputs; what they write is compared too."""
    photos = ["astronaut.png", "large.jpg", "rolled.jpg", "no_face.webp"]
    detectors = [["--detector", "haar"], ["--detector", "none"]]
    if yunet:
        detectors.append(["--detector-model", yunet])
    for number, detector in enumerate(detectors):
        yield ["predict", *photos, *detector, "--json", f"photos-{number}.jsonl", "--csv", f"photos-{number}.csv"]
        yield ["predict", *photos, "broken.jpg", "text.png", "gone.png", *detector, "--json", "-"]
        yield ["predict", "film.mp4", *detector, "--json", f"film-{number}.jsonl", "--csv", f"film-{number}.csv"]
        yield ["annotate", "album", "-o", f"rows-{number}", *detector, "--workers", "0"]
        yield ["report", f"film-{number}.jsonl", "--csv", f"persons-{number}.csv"]
    yield ["predict", *photos, "--detector", "haar", "--out", "drawn", "--theme", "emoji"]
    yield ["predict", "album", "--detector", "none", "--uncertain-below", "0.9", "--flip"]
    yield ["data", "check", "fer2013.csv"]
    yield from (["predict"], ["predict", "gone.png"], ["predict", "--nothing"])
    yield ["predict", "astronaut.png", "--detector", "cat"]
    yield ["annotate", "gone", "-o", "nowhere"]
    if train:
        small = ["--recipe", "quick", "--set", "epochs=2", "--set", "batch=16", "--set", "network.width=0.1"]
        yield ["train", "--data", "fer2013.csv", *small, "--set", "network.hidden=16,16", "--out", "run"]
        yield ["export", "run", "--out", "small.onnx"]
        yield ["predict", "album", "--detector", "none", "--model", "small.onnx", "--json", "-"]


def run(tree: Path, folder: Path, words: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command of one tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree.resolve() / "src"), "NO_COLOR": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "mien", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def content(path: Path) -> object:
    """What a file holds, without what may differ between runs: when it was made, by which version, how fast."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        return str(table.schema), table.to_pylist()
    if path.name in ("manifest.json", "plan.json"):
        values = json.loads(path.read_text(encoding="utf-8"))
        return {name: values.get(name) for name in ("counts", "emotions", "options", "model", "detector")}
    if path.suffix == ".onnx":
        import onnx

        weights = onnx.load(path).graph.initializer
        return [(tensor.name, onnx.numpy_helper.to_array(tensor).tobytes()) for tensor in weights]
    if path.name == "metrics.jsonl":
        return [{**json.loads(line), "faces_per_s": None} for line in path.read_text(encoding="utf-8").splitlines()]
    return path.read_bytes() if path.suffix in (".png", ".jpg", ".jsonl", ".csv") else None


def outcome(
    tree: Path, folder: Path, todo: Sequence[Sequence[str]]
) -> tuple[list[tuple[int, str, str]], dict[str, Any]]:
    """What each command came to in a new folder, and the files that were there in the end."""
    folder.mkdir()
    make_inputs(folder)
    results = [run(tree, folder, words) for words in todo]
    files = {str(path.relative_to(folder)): content(path) for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder)
    return results, files


def main() -> None:
    """Compare, print what differs, and exit 1 where something does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs=2, type=Path)
    parser.add_argument("--yunet", help="YuNet's file, to compare by it too")
    parser.add_argument("--train", action="store_true")
    options = parser.parse_args()
    yunet = str(Path(options.yunet).resolve()) if options.yunet else None
    todo = list(commands(yunet, train=options.train))
    with tempfile.TemporaryDirectory() as made:  # one folder for both, since results hold its name
        (before, files_before), (after, files_after) = (outcome(tree, Path(made, "in"), todo) for tree in options.trees)
    different = 0
    for words, old, new in zip(todo, before, after, strict=True):
        same = old[:2] == new[:2]
        different += not same
        print(f"{'same' if same else 'DIFFERENT':<10} exit {old[0]}  mien {' '.join(words)}")
        if not same:
            print(f"  before: {old[:2]}\n  after:  {new[:2]}\n  {new[2][-2000:]}")
        elif old[2] != new[2]:
            print(f"  words: {old[2].strip()[-300:]!r}\n     now: {new[2].strip()[-300:]!r}")
    for name in sorted(files_before.keys() | files_after.keys()):
        old_file, new_file = (files.get(name, "missing") for files in (files_before, files_after))
        if old_file != new_file:
            different += 1
            print(f"DIFFERENT  {name}: {str(old_file)[:500]} / {str(new_file)[:500]}")
    print(f"{len(todo)} commands and {len(files_before)} files compared, {different} differ")
    sys.exit(bool(different))


if __name__ == "__main__":
    main()

"""Use Mien as it is installed, as its users do first; scripts/release_check.py runs it. It needs nothing but Mien.

python scripts/smoke_test.py PHOTO       # PHOTO shows one happy face
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import mien


def main() -> None:
    """Exits with 1 and a line, or a traceback, where something does not work."""
    photo = Path(sys.argv[1])
    print(f"mien {mien.__version__} in {Path(mien.__file__).parent}, Python {sys.version.split()[0]}")
    analyzer = mien.load()
    expect(analyzer.detector.name == "yunet", f"YuNet is the detector, not {analyzer.detector.name}")
    result = analyzer.analyze(photo)
    expect([face.emotion for face in result.faces] == ["happiness"], f"one happy face, got {result.to_dict()}")
    frames = [mien.Frame(result.image, index, index / 10) for index in range(5)]
    tracks = [[face.track for face in one.faces] for one in analyzer.stream(frames)]
    expect(tracks == [[1]] * 5, f"a face keeps its number in a stream, got {tracks}")
    with tempfile.TemporaryDirectory() as folder:
        drawn, records = Path(folder, "drawn"), Path(folder, "records.jsonl")
        run("predict", str(photo), "-o", str(drawn), "--json", str(records))
        expect((drawn / photo.name).stat().st_size > 10_000, "the picture is drawn")
        record = json.loads(records.read_text(encoding="utf-8"))
        expect(record["faces"][0]["emotion"] == "happiness", f"the record says so too, got {record}")
        run("page", "-o", str(Path(folder, "site")))
        expect(Path(folder, "site", "index.html").is_file(), "the page is written")
    run("info")
    run("--help")


def run(*arguments: str) -> None:
    """Run `mien`, which must succeed."""
    done = subprocess.run([sys.executable, "-m", "mien", *arguments], capture_output=True, text=True, check=False)
    expect(done.returncode == 0, f"mien {' '.join(arguments)} works: {done.stdout}{done.stderr}")


def expect(is_right: bool, what: str) -> None:
    """Exit with 1 where something is not so."""
    if not is_right:
        sys.exit(f"expected: {what}")


if __name__ == "__main__":
    main()

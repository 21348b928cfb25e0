"""Pictures without faces, for `--outliers DIR` in training: the wallpapers of Debian packages.

    python scripts/fetch_outliers.py DIR

Runs on Debian: `apt-get download` fetches the packages, `dpkg-deb` unpacks them. Of each picture one size is kept, and
none in which YuNet finds a face at a score of 0.3 or that is one even area. The pictures stay under their own licences
(GPL, LGPL, CC BY-SA, in each package's copyright file) and are not redistributed. benchmarks/robustness.py measures on
other pictures, scikit-image's.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from mien.errors import ImageError
from mien.files import make_folder
from mien.images.decode import read_picture
from mien.images.find import find_images
from mien.runtime.detectors import load_detector
from mien.runtime.resize import fitted
from mien.types import DetectOptions

PACKAGES = (
    "cinnamon-desktop-data",
    "desktop-base",
    "gnome-backgrounds",
    "lomiri-wallpapers",
    "lxqt-branding-debian",
    "mate-backgrounds",
    "plasma-workspace-wallpapers",
    "ukui-wallpapers",
    "xfdesktop4-data",
)
_SCORE = 0.3
_THUMBNAIL = 12
"""Pixels of a side by which two sizes of one picture are known to be one."""


def unpack(folder: Path) -> None:
    """Fetch all packages and unpack them into a folder."""
    subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, check=True)
    for package in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, folder / "unpacked"], check=True)


def chosen(folder: Path) -> list[Path]:
    """The pictures without faces below a folder, the largest of each, in the order of their paths."""
    detector = load_detector("yunet").with_options(DetectOptions(min_score=_SCORE))
    largest: dict[bytes, tuple[int, Path]] = {}
    for found in find_images([folder]).images:
        path = Path(str(found.path))
        if path.is_symlink():
            continue
        try:
            image = read_picture(path, reduce_to=1024).image
        except ImageError as error:
            print(f"left out: {error}")
            continue
        small = fitted(image, 1, 1024)
        if min(small.shape[:2]) < 100 or small.std() < 4 or detector.detect(small):
            print(f"left out: {path.name}: small, even, or with a face")
            continue
        rows, columns = (np.linspace(0, size - 1, _THUMBNAIL).astype(int) for size in small.shape[:2])
        key = (small[rows][:, columns] // 64).tobytes()
        largest[key] = max(largest.get(key, (0, path)), (path.stat().st_size, path))
    return sorted(path for _, path in largest.values())


def main() -> None:
    """Fill the folder that the command names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="DIR", help="where the pictures go")
    arguments = parser.parse_args()
    make_folder(arguments.out)
    with tempfile.TemporaryDirectory() as folder:
        unpack(Path(folder))
        pictures = chosen(Path(folder) / "unpacked")
        for number, path in enumerate(pictures, 1):
            shutil.copyfile(path, arguments.out / f"{number:03}{path.suffix.lower()}")
    print(f"{len(pictures)} pictures in {arguments.out}")


if __name__ == "__main__":
    main()

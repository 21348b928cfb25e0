"""Put YuNet's verified file into the package, for builds that cannot make it (hatch_build.py); git ignores it there.

Needs the standard library only. FILE is the OpenCV zoo's of May 2026, or that of March 2023, from which it is made.

python scripts/vendor_yunet.py [--from FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mien.errors import MienError
from mien.runtime.download import fetch, is_genuine
from mien.runtime.weights import YUNET, vendored_yunet
from mien.runtime.yunet_file import place_yunet


def main() -> int:
    """Vendor the file; 0 when it is there, 2 with one line on standard error when it cannot be had."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="use this file instead of fetching")
    source: Path | None = parser.parse_args().source
    destination = vendored_yunet()
    try:
        if source is not None:
            place_yunet(source, destination)
        elif not is_genuine(destination, YUNET.sha256):
            fetch(YUNET, destination, by_hand="fetch it by other means and name it: make vendor YUNET=FILE")
    except MienError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(destination)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Put YuNet's verified file where a wheel build picks it up; git ignores it there.

python scripts/vendor_yunet.py [--from FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mien.errors import MienError
from mien.runtime.download import fetch, is_genuine, place
from mien.runtime.weights import YUNET, vendored_yunet


def main() -> int:
    """Vendor the file; 0 when it is there, 2 with one line on standard error when it cannot be had."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="take this file instead of fetching")
    source: Path | None = parser.parse_args().source
    destination = vendored_yunet()
    try:
        if source is not None:
            place(source, YUNET.sha256, destination)
        elif not is_genuine(destination, YUNET.sha256):
            fetch(YUNET, destination)
    except MienError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(destination)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The benchmarks are scripts, no package: their folder goes on the path. A source distribution does not hold it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

"""Many pictures at once: planned in shards, worked off by one machine or a Ray cluster, and restartable."""

from mien.annotate.plan import Options
from mien.annotate.run import Outcome, annotate

__all__ = ["Options", "Outcome", "annotate"]

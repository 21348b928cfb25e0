"""Many pictures at once: planned in shards, processed by one machine or a Ray cluster, and restartable."""

from mien.annotate.engine import Engine
from mien.annotate.plan import Options
from mien.annotate.run import Outcome, Watcher, annotate

__all__ = ["Engine", "Options", "Outcome", "Watcher", "annotate"]

"""Every fuzz target by its name."""

from __future__ import annotations

from . import annotate_files, checkpoints, datasets, documents, pictures, requests
from .target import Target

TARGETS: dict[str, Target] = {
    **pictures.TARGETS,
    **documents.TARGETS,
    **checkpoints.TARGETS,
    **datasets.TARGETS,
    **annotate_files.TARGETS,
    **requests.TARGETS,
}

"""The only room that imports torch: network, augmentation, recipes, loop, checkpoints, export."""

from mien.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise MissingExtraError("training", "train") from None

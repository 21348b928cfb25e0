"""The only room that imports torch: network, augmentation, recipes, loop, checkpoints, export."""

from importlib.util import find_spec

from mien.errors import MissingExtraError

_NEEDED = ("torch", "kornia", "lightning_fabric", "onnx", "onnxscript", "pytorch_optimizer", "safetensors", "scipy")

if not all(map(find_spec, _NEEDED)):
    raise MissingExtraError("training", "train")

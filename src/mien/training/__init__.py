"""The only room that imports torch: network, augmentation, recipes, loop, checkpoints, export."""

from importlib.util import find_spec

from mien.errors import MissingExtraError

if not all(find_spec(name) for name in ("torch", "kornia", "lightning_fabric", "safetensors", "onnx", "onnxscript")):
    raise MissingExtraError("training", "train")

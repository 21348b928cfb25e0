"""Initial weights where training does not start from scratch: Mien's own, AlexNet's from ImageNet, or dlib's.

Weights are taken layer by layer, from the first on, up to the first layer whose shape differs: what stands behind that
one would read features that it never learned from. So the usual case, other classes, gives all but the last layer.

An ONNX graph of Mien has its batch normalisation folded into the convolutions, dlib's face recogniser (for a teacher)
into factors and offsets, and torchvision's AlexNet has none. To be trained further they get it back: each batch
normalisation is given the mean and variance of its convolution's output over some of the faces to learn from, and a
weight and bias that undo it. In evaluation the function is the source's own; in training, where the statistics are each
batch's, it is nearly so.
"""

from __future__ import annotations

import hashlib
import http.client
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from mien.data.packed_faces import Faces
from mien.errors import ConfigError, ModelError, reason
from mien.runtime.classifier import Classifier
from mien.runtime.weights import find_model, shipped_models, user_cache
from mien.training import checkpoint
from mien.training.deployed import original_kernels
from mien.training.dlib_weights import fill_from_dlib
from mien.training.face_resnet import FaceResNet
from mien.training.network import (
    NETWORKS,
    AlexNet,
    AlexNetConfig,
    Network,
    NetworkConfig,
    config_from_dict,
    named_network,
    prepare,
)

IMAGENET_URL: Final = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
"""AlexNet as torchvision publishes it, trained on ImageNet (233 MB). The name ends in the first 8 hex digits of the
file's SHA-256, PyTorch's convention: the download is held to these, as nothing longer is published."""

CALIBRATION_FACES: Final = 256

_CONVOLUTIONS: Final = ("features.0", "features.4", "features.8", "features.11", "features.14")
_NORMALISATIONS: Final = ("features.1", "features.5", "features.9", "features.12", "features.15")
_CONNECTED: Final = ("classifier.1", "classifier.4", "classifier.6")
_TORCHVISION: Final = ("features.0", "features.3", "features.6", "features.8", "features.10", *_CONNECTED)


_Form = Literal["checkpoint", "graph", "torchvision", "dlib"]


@dataclass(frozen=True)
class _Weights:
    """What a source holds, under our names; folded: each normalisation has a bias only, to be added to its convolution.

    name    file name or word, for the record
    sha256  of the file, in hex
    """

    name: str
    sha256: str
    tensors: Mapping[str, Tensor]
    folded: bool


def network_of(source: str) -> NetworkConfig:
    """The network that fits the weights of a source, which is named as for `initialise`; nothing is fetched.

    Of torchvision's format it is `alexnet-torchvision`. Raises ModelError and ConfigError as `initialise` does.
    """
    form, path = _locate(source)
    if form == "torchvision":
        return named_network("alexnet-torchvision")
    if form == "dlib":
        return named_network("face-resnet")
    if form == "checkpoint":
        network = checkpoint.describe(path).network
    else:
        network = config_from_dict(Classifier(path, threads=1).card.architecture)
    if not isinstance(network, AlexNetConfig):
        raise ModelError(f"{path}: expected AlexNet's weights, got another network's: it can teach, by `mien distill`")
    return network


def initialise(network: Network, source: str, faces: Faces) -> dict[str, Any]:
    """Fill a freshly made network with the weights of a source, as far as they fit; returns what was done.

    source  "mien", the newest model that ships, or another's version; an ONNX file of Mien, float32 or int8; a
            checkpoint, or a run's folder; "imagenet", which is fetched once into the user's cache; or a .pth or .pt
            file in the format of torchvision's AlexNet. For `face-resnet` dlib's .dat file; for it and `resnet` a
            checkpoint of the same network
    faces   (N, 48, 48) uint8, faces to learn from: CALIBRATION_FACES of them, evenly spread, give the statistics of
            batch normalisation where the source has none

    Where the source takes three channels and the network one, the kernels of the channels are summed, and the other
    way round shared out, which is exact for grey copied to all three. The record has the source's name and sha256,
    the number of parameters taken, and the names of those that stay fresh. Raises ModelError where the source
    cannot be read or its first convolution does not fit, ConfigError on a word that names no source, and on a
    network that begins at random.
    """
    if not isinstance(network, AlexNet) and _locate(source)[0] == "checkpoint":
        return _initialise_teacher(network, Path(source))
    if isinstance(network, FaceResNet):
        return _initialise_from_dlib(network, source, faces)
    if not isinstance(network, AlexNet):
        raise ConfigError("`network=resnet` begins at random, or with another run of it: a folder or a checkpoint")
    weights = _read(source)
    own = network.state_dict()
    first = _CONVOLUTIONS[0] + ".weight"
    tensors = dict(weights.tensors)
    tensors[first] = _for_channels(tensors[first], own[first].shape[1])
    layers = _fitting(own, tensors)
    if not layers:
        raise ModelError(_misfit(network, weights))
    taken = {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[0] in layers}
    network.load_state_dict(taken, strict=False)
    if weights.folded:
        _unfold(network, [network.get_submodule(name) for name in _NORMALISATIONS if name in layers], faces)
    parameters = [name for name, _ in network.named_parameters()]
    fresh = [name for name in parameters if name.rpartition(".")[0] not in layers]
    return {"source": weights.name, "sha256": weights.sha256, "taken": len(parameters) - len(fresh), "fresh": fresh}


def _for_channels(kernels: Tensor, channels: int) -> Tensor:
    """Kernels (filters, 1 or 3, h, w) for 1 or 3 channels of grey."""
    if kernels.shape[1] == channels:
        return kernels
    return kernels.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels


def _fitting(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> set[str]:
    """The layers, from the first on, whose tensors all fit."""
    pairs = [*zip(_CONVOLUTIONS, _NORMALISATIONS, strict=True), *((layer,) for layer in _CONNECTED)]
    fitting: set[str] = set()
    for layers in pairs:
        given = {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[0] in layers}
        if not all(tensor.shape == own[name].shape for name, tensor in given.items()):
            break
        fitting.update(layers)
    return fitting


def _misfit(network: AlexNet, weights: _Weights) -> str:
    """Which filters each has, and which network would fit the source."""
    kernels = [weights.tensors[f"{layer}.weight"] for layer in _CONVOLUTIONS]
    widths = tuple(len(kernel) for kernel in kernels)
    named = next((f"`network={known}`" for known, config in NETWORKS.items() if config.channels == widths), None)
    settings = f"`network.filters={','.join(map(str, widths))}` `network.width=1` `network.in_channels=1`"
    own = f"{'-'.join(map(str, network.config.channels))} on {network.config.in_channels}"
    return (
        f"{weights.name} has convolutions of {'-'.join(map(str, widths))} filters on {kernels[0].shape[1]} channels, "
        f"the network {own}: {named or settings} would fit"
    )


def _initialise_teacher(network: Network, path: Path) -> dict[str, Any]:
    """As `initialise`, of a checkpoint whose network is the same but for its input size and dropout: all is taken."""
    _, source = checkpoint.load_network(path)
    own, given = ({**one.config.to_dict(), "input_size": 0, "dropout": 0} for one in (network, source))
    if own != given:
        raise ModelError(f"{path}: expected a network like the one to train, {network.config}, got {source.config}")
    network.load_state_dict(source.state_dict())
    name, digest = checkpoint.identity(path)
    return {"source": name, "sha256": digest, "taken": len(list(network.parameters())), "fresh": []}


def _initialise_from_dlib(network: FaceResNet, source: str, faces: Faces) -> dict[str, Any]:
    """As `initialise`, of dlib's file: all but the last layer is taken."""
    form, path = _locate(source)
    if form != "dlib":
        raise ModelError(f"{source}: expected dlib's face-recognition weights, a .dat file")
    fill_from_dlib(network, path)
    _unfold(network, [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)], faces)
    fresh = [name for name, _ in network.named_parameters() if name.startswith("classifier")]
    taken = len(list(network.features.parameters()))
    return {"source": path.name, "sha256": _sha256(path), "taken": taken, "fresh": fresh}


@torch.no_grad()
def _unfold(network: AlexNet | FaceResNet, normalisations: Sequence[nn.Module], faces: Faces) -> None:
    """Give batch normalisations the statistics of these faces, and change their weight and bias to undo them."""
    if not len(faces):
        raise ModelError("expected faces to learn from, for the statistics of batch normalisation, got none")
    picked = np.linspace(0, len(faces) - 1, min(len(faces), CALIBRATION_FACES)).round().astype(int)

    def unfold(layer: nn.Module, values: tuple[Tensor]) -> None:
        assert isinstance(layer, nn.BatchNorm2d)
        variance, mean = torch.var_mean(values[0], (0, 2, 3), correction=0)
        layer.running_mean, layer.running_var = mean, variance
        layer.bias.add_(layer.weight * mean)
        layer.weight.mul_((variance + layer.eps).sqrt())

    hooks = [layer.register_forward_pre_hook(unfold) for layer in normalisations]
    network.eval().features(prepare(torch.from_numpy(faces[picked])[:, None].float() / 255, network.config))
    for hook in hooks:
        hook.remove()
    network.train()


def _locate(source: str) -> tuple[_Form, Path]:
    """The form of a source and its file, or its run's folder; ImageNet's may yet have to be fetched."""
    path = Path(source)
    if source == "mien" or source in shipped_models():
        return "graph", find_model(None if source == "mien" else source)
    if source == "imagenet":
        return "torchvision", user_cache() / IMAGENET_URL.rpartition("/")[2]
    if path.is_dir() or path.suffix == ".safetensors":
        return "checkpoint", path
    if path.suffix == ".onnx":
        return "graph", path
    if path.suffix in {".pth", ".pt"}:
        return "torchvision", path
    if path.suffix == ".dat":
        return "dlib", path
    known = ", ".join(["mien", "imagenet", *shipped_models()])
    raise ConfigError(
        f"expected weights to begin with ({known}, a run's folder, or a .safetensors, .onnx, .pth, .pt or .dat file), "
        f"got {source!r}"
    )


def _read(source: str) -> _Weights:
    """The weights that a word, a version or a path names."""
    form, path = _locate(source)
    if form == "checkpoint":
        return _from_checkpoint(path)
    if form == "graph":
        return _from_graph(path)
    if form == "dlib":
        raise ModelError(f"{path}: expected AlexNet's weights, got dlib's: `network=face-resnet` takes them")
    if source == "imagenet":
        _fetch_imagenet(path)
        return _from_torchvision(path, name=source)
    return _from_torchvision(path, name=path.name)


def _from_checkpoint(path: Path) -> _Weights:
    """The averaged weights of a checkpoint, batch normalisation and all."""
    _, network = checkpoint.load_network(path, to_predict=False)
    if not isinstance(network, AlexNet):
        raise ModelError(f"{path}: expected AlexNet's weights, got another network's")
    return _Weights(*checkpoint.identity(path), network.state_dict(), folded=False)


def _from_graph(path: Path) -> _Weights:
    """The weights of a graph that Mien exported: those of its Conv and Gemm nodes, in their order."""
    Classifier(path, threads=1)  # refuses what is no model of Mien, in one line
    graph = onnx.load(path).graph
    constants: dict[str, Any] = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            (constants[node.output[0]],) = ReferenceEvaluator(node).run(
                None, {key: constants[key] for key in node.input}
            )
    layers = [
        [constants[name] for name in node.input[1:3] if name in constants]
        for kind in ("Conv", "Gemm")
        for node in graph.node
        if node.op_type == kind
    ]
    if len(layers) != len(_TORCHVISION) or not all(len(layer) == 2 for layer in layers):
        raise ModelError(f"{path.name}: expected AlexNet's five convolutions and three fully connected layers")
    pairs = [(torch.from_numpy(weight.copy()), torch.from_numpy(bias.copy())) for weight, bias in layers]
    kernels, bias = pairs[0]
    pairs[0] = original_kernels(kernels), bias
    return _Weights(path.name, _sha256(path), _ours(pairs), folded=True)


def _from_torchvision(path: Path, *, name: str) -> _Weights:
    """The weights of a file as torchvision saves its AlexNet. Nothing but tensors is unpickled."""
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
        pairs = [(held[f"{layer}.weight"].float(), held[f"{layer}.bias"].float()) for layer in _TORCHVISION]
        if not all(weight.ndim == (4 if index < 5 else 2) for index, (weight, _) in enumerate(pairs)):
            raise ValueError("its weights have other dimensions")
    except OSError as error:
        raise ModelError(f"{path}: cannot read the weights: {reason(error)}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: expected torchvision's AlexNet, a dict of tensors: {reason(error)}") from error
    return _Weights(name, _sha256(path), _ours(pairs), folded=True)


def _ours(pairs: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Weight and bias of the eight layers under our names: a convolution's bias is its normalisation's."""
    named: dict[str, Tensor] = {}
    biased = (*_NORMALISATIONS, *_CONNECTED)
    for layer, holder, (weight, bias) in zip((*_CONVOLUTIONS, *_CONNECTED), biased, pairs, strict=True):
        named[f"{layer}.weight"], named[f"{holder}.bias"] = weight, bias
    return named


def _fetch_imagenet(path: Path) -> None:
    """Fetch torchvision's file, if it is not there; hold it to the digits in its name every time."""
    digits = path.stem.rpartition("-")[2]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            torch.hub.download_url_to_file(IMAGENET_URL, str(path), hash_prefix=digits)
    except RuntimeError as error:
        raise ModelError(f"{IMAGENET_URL}: {error}; nothing was kept") from error
    except (OSError, http.client.HTTPException) as error:
        raise ModelError(
            f"cannot fetch {IMAGENET_URL} to {path}: {error}; fetch it by other means and name the file: `init=FILE`"
        ) from error
    found = _sha256(path)
    if not found.startswith(digits):
        raise ModelError(f"{path}: expected a SHA-256 that begins with {digits}, got {found}: remove it to fetch anew")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

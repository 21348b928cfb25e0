from __future__ import annotations

import dataclasses
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS
from mien.errors import ConfigError, ModelError
from mien.runtime.classifier import Classifier
from mien.training import checkpoint, initialization
from mien.training.checkpoint import load_network, logits_of
from mien.training.export import export
from mien.training.initialization import initialise, network_of
from mien.training.loop import Devices, Start, train
from mien.training.network import AlexNet, AlexNetConfig, NetworkConfig, build, named_network, prepare
from mien.training.recipes import Recipe

CPU = Devices("cpu")

TORCHVISION = AlexNetConfig(filters=(8, 24, 16, 8, 16), padding=2, pool=6, hidden=(32, 24), classes=5, input_size=131)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory, trained: Path, striped: FaceDataset) -> dict[str, Path]:
    """The trained network as ONNX, with a last layer ten times as sure of itself, so that its predictions differ."""
    folder = tmp_path_factory.mktemp("graphs")
    description, tensors = checkpoint.load(trained, prefix="model.")
    tensors["model.classifier.6.weight"] *= 10
    checkpoint.save(folder / "sure.safetensors", description, tensors)
    found = {"float32": folder / "float32.onnx", "int8": folder / "int8.onnx"}
    for name, path in found.items():
        export(folder / "sure.safetensors", path, dataset=striped, int8=name == "int8")
    return found


def alex(config: NetworkConfig) -> AlexNetConfig:
    assert isinstance(config, AlexNetConfig)
    return config


def fresh(config: NetworkConfig, seed: int = 7) -> AlexNet:
    torch.manual_seed(seed)
    return AlexNet(alex(config))


def probabilities(network: AlexNet, faces: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    return torch.softmax(torch.from_numpy(logits_of(network, faces)) / temperature, 1).numpy()


def torchvision_alexnet(config: AlexNetConfig, *, seed: int = 3) -> nn.Sequential:
    """AlexNet as torchvision lays it out: three channels, biases, no batch normalisation; random weights."""
    torch.manual_seed(seed)
    a, b, c, d, e = config.filters
    first, second = config.hidden
    features = nn.Sequential(
        *(nn.Conv2d(3, a, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(a, b, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(b, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, d, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(d, e, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )
    classifier = nn.Sequential(
        *(nn.Dropout(), nn.Linear(e * 36, first), nn.ReLU()),
        *(nn.Dropout(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, config.classes)),
    )
    parts = {"features": features, "pool": nn.AdaptiveAvgPool2d(6), "flat": nn.Flatten(), "classifier": classifier}
    network = nn.Sequential()
    for name, part in parts.items():
        network.add_module(name, part)
    for parameter in network.parameters():
        parameter.data.mul_(2)  # so that predictions differ visibly from face to face
    return network.eval()


@pytest.fixture
def reference(tmp_path: Path) -> tuple[nn.Sequential, Path]:
    network = torchvision_alexnet(TORCHVISION)
    path = tmp_path / "weights.pth"
    torch.save(network.state_dict(), path)
    return network, path


def test_a_run_gives_all_its_weights(trained: Path, striped: FaceDataset) -> None:
    description, source = load_network(trained)
    network = fresh(description.network)
    record = initialise(network, str(trained), striped.faces[:8])
    for name, value in source.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name
    digest = hashlib.sha256((trained / "best.safetensors").read_bytes()).hexdigest()
    assert record == {"source": "tiny/best.safetensors", "sha256": digest, "taken": 21, "fresh": []}


def test_the_last_layer_stays_fresh_for_other_classes(trained: Path, striped: FaceDataset) -> None:
    description, source = load_network(trained)
    network = fresh(dataclasses.replace(description.network, classes=4))
    before = network.get_parameter("classifier.6.weight").clone()
    record = initialise(network, str(trained / "best.safetensors"), striped.faces[:8])
    assert record["fresh"] == ["classifier.6.weight", "classifier.6.bias"]
    assert torch.equal(network.get_parameter("classifier.6.weight"), before)
    assert torch.equal(network.get_parameter("classifier.4.weight"), source.get_parameter("classifier.4.weight"))


def test_nothing_is_taken_behind_a_layer_that_does_not_fit(trained: Path, striped: FaceDataset) -> None:
    description, _ = load_network(trained)
    network = fresh(dataclasses.replace(alex(description.network), hidden=(8, 16)))
    record = initialise(network, str(trained), striped.faces[:8])
    assert record["taken"] == 15
    assert [name for name in record["fresh"] if name.endswith("weight")] == [
        "classifier.1.weight",
        "classifier.4.weight",
        "classifier.6.weight",
    ]


@pytest.mark.parametrize(("kind", "mean", "largest"), [("float32", 1e-5, 1e-4), ("int8", 0.02, 0.2)])
def test_a_graph_is_restored(
    graphs: dict[str, Path], trained: Path, striped: FaceDataset, kind: str, mean: float, largest: float
) -> None:
    network = fresh(load_network(trained)[0].network)
    record = initialise(network, str(graphs[kind]), striped.faces)
    classifier = Classifier(graphs[kind])
    expected = classifier.probabilities(striped.faces[:])
    difference = np.abs(probabilities(network.eval(), striped.faces[:], classifier.card.temperature) - expected)
    assert difference.mean() <= mean
    assert difference.max() <= largest
    assert expected.std(0).mean() > 0.05, "the predictions differ, so that agreement means something"
    assert (record["source"], record["taken"], record["fresh"]) == (f"{kind}.onnx", 21, [])


def test_a_restored_network_answers_alike_with_the_statistics_of_a_batch(
    graphs: dict[str, Path], trained: Path, striped: FaceDataset
) -> None:
    network = fresh(load_network(trained)[0].network)
    assert network.training
    initialise(network, str(graphs["float32"]), striped.faces)
    assert all(module.training for module in network.modules())
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    others = striped.faces[1::2]
    difference = np.abs(probabilities(network, others) - Classifier(graphs["float32"]).probabilities(others))
    assert difference.mean() < 0.01


def test_torchvision_kernels_summed_are_exact_on_grey(
    reference: tuple[nn.Sequential, Path], striped: FaceDataset
) -> None:
    theirs, path = reference
    network = fresh(TORCHVISION)
    record = initialise(network, str(path), striped.faces[:64])
    grey = prepare(torch.from_numpy(striped.faces[64:96])[:, None].float() / 255, TORCHVISION)
    with torch.no_grad():
        expected = theirs(grey.expand(-1, 3, -1, -1))
        got = network.eval()(grey)
    assert expected.std(0).min() > 0.05
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    assert (record["source"], record["taken"]) == ("weights.pth", 21)


def test_three_channels_take_torchvision_kernels_as_they_are(
    reference: tuple[nn.Sequential, Path], striped: FaceDataset
) -> None:
    theirs, path = reference
    network = fresh(dataclasses.replace(TORCHVISION, in_channels=3, classes=7))
    record = initialise(network, str(path), striped.faces[:8])
    assert torch.equal(network.get_parameter("features.0.weight"), theirs.state_dict()["features.0.weight"])
    assert record["fresh"] == ["classifier.6.weight", "classifier.6.bias"]


def test_what_does_not_fit_is_refused_with_what_would(
    reference: tuple[nn.Sequential, Path], striped: FaceDataset
) -> None:
    with pytest.raises(ModelError, match=r"8-24-16-8-16 .* 3 chan.* 72-192-288-288-192 .*filters=8,24,16,8,16` "):
        initialise(fresh(named_network("alexnet-compact")), str(reference[1]), striped.faces)


@pytest.fixture
def torchvision_sized(tmp_path: Path) -> Path:
    config = dataclasses.replace(alex(named_network("alexnet-torchvision")), hidden=(8, 8))
    torch.save(torchvision_alexnet(config).state_dict(), tmp_path / "imagenet.pth")
    return tmp_path / "imagenet.pth"


def test_a_named_network_is_proposed(torchvision_sized: Path, striped: FaceDataset) -> None:
    with pytest.raises(ModelError, match="`network=alexnet-torchvision` would fit"):
        initialise(fresh(TORCHVISION), str(torchvision_sized), striped.faces)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("imagnet", ConfigError),
        ("nowhere.onnx", ModelError),
        ("nowhere.pth", ModelError),
        ("nowhere.safetensors", ModelError),
    ],
)
def test_a_source_that_is_not_there(striped: FaceDataset, source: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=source) as caught:
        initialise(fresh(TORCHVISION), source, striped.faces)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"not weights at all", {"features.0.weight": torch.zeros(8, 3, 11, 11)}, [1, 2], nn.ReLU()],
    ids=["empty", "text", "half", "list", "code"],
)
def test_a_file_that_is_not_torchvisions(tmp_path: Path, striped: FaceDataset, content: object) -> None:
    path = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ModelError, match="torchvision's AlexNet") as caught:
        initialise(fresh(TORCHVISION), str(path), striped.faces)
    assert "\n" not in str(caught.value)


def test_a_graph_of_another_network_is_refused(brightness_model: Path, striped: FaceDataset) -> None:
    with pytest.raises(ModelError, match="five convolutions"):
        initialise(fresh(TORCHVISION), str(brightness_model), striped.faces)


def test_a_graph_without_card_is_refused(tmp_path: Path, graphs: dict[str, Path], striped: FaceDataset) -> None:
    model = onnx.load(graphs["float32"])
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(ModelError, match="no model card"):
        initialise(fresh(TORCHVISION), str(tmp_path / "bare.onnx"), striped.faces)


def test_the_shipped_model_is_mien(striped: FaceDataset) -> None:
    from mien.runtime.weights import find_model

    architecture = AlexNetConfig.from_dict(dict(Classifier(find_model()).card.architecture))
    record = initialise(fresh(dataclasses.replace(architecture, classes=3)), "mien", striped.faces[:4])
    assert record["source"] == find_model().name
    assert record["sha256"] == hashlib.sha256(find_model().read_bytes()).hexdigest()
    assert record["fresh"] == ["classifier.6.weight", "classifier.6.bias"]


def test_each_source_names_the_network_that_fits_it(graphs: dict[str, Path], trained: Path) -> None:
    from mien.runtime.weights import find_model

    own = load_network(trained)[0].network
    assert network_of(str(trained)) == network_of(str(graphs["int8"])) == own
    assert network_of("mien") == AlexNetConfig.from_dict(dict(Classifier(find_model()).card.architecture))
    assert network_of("imagenet") == network_of("weights.pth") == named_network("alexnet-torchvision")
    with pytest.raises(ConfigError, match="'imagnet'"):
        network_of("imagnet")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(folder), **kwargs)  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("MIEN_CACHE", str(folder))
    return folder


def test_imagenet_is_fetched_once_and_verified(
    reference: tuple[nn.Sequential, Path],
    served: tuple[Path, str],
    cache: Path,
    striped: FaceDataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = reference[1].read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    name = f"alexnet-owt-{digest[:8]}.pth"
    (served[0] / name).write_bytes(content)
    monkeypatch.setattr(initialization, "IMAGENET_URL", f"{served[1]}/{name}")
    record = initialise(fresh(TORCHVISION), "imagenet", striped.faces[:4])
    assert record == {"source": "imagenet", "sha256": digest, "taken": 21, "fresh": []}
    assert [path.name for path in cache.iterdir()] == [name]

    (served[0] / name).unlink()
    assert initialise(fresh(TORCHVISION), "imagenet", striped.faces[:4]) == record
    assert capsys.readouterr().out == ""

    (cache / name).write_bytes(content[:-1] + b"!")
    with pytest.raises(ModelError, match=f"begins with {digest[:8]}"):
        initialise(fresh(TORCHVISION), "imagenet", striped.faces[:4])


def test_a_wrong_or_missing_download_leaves_nothing(
    served: tuple[Path, str], cache: Path, striped: FaceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initialization, "IMAGENET_URL", f"{served[1]}/alexnet-owt-7be5be79.pth")
    with pytest.raises(ModelError, match="404"):
        initialise(fresh(TORCHVISION), "imagenet", striped.faces[:4])
    (served[0] / "alexnet-owt-7be5be79.pth").write_bytes(b"other weights")
    with pytest.raises(ModelError, match="nothing was kept"):
        initialise(fresh(TORCHVISION), "imagenet", striped.faces[:4])
    assert list(cache.iterdir()) == []


def test_training_begins_with_the_weights(tmp_path: Path, trained: Path, striped: FaceDataset, tiny: Recipe) -> None:
    """With every convolution frozen they are still the source's at the end, and the run says what it began with."""
    recipe = dataclasses.replace(tiny, epochs=1, freeze=5)
    best = train(striped, recipe, tmp_path / "tuned", start=Start(init=str(trained)), devices=CPU)
    description, network = load_network(best)
    _, source = load_network(trained)
    assert torch.equal(network.get_parameter("features.11.weight"), source.get_parameter("features.11.weight"))
    assert not torch.equal(network.get_parameter("classifier.4.weight"), source.get_parameter("classifier.4.weight"))
    assert description.data["init"]["source"] == "tiny/best.safetensors"


@pytest.mark.parametrize("name", ["resnet", "face-resnet"])
def test_a_teacher_begins_with_a_run_of_its_own_network(tmp_path: Path, striped: FaceDataset, name: str) -> None:
    config = dataclasses.replace(named_network(name), width=0.25, input_size=104, dropout=0.1)
    torch.manual_seed(1)
    source = build(config)
    weights = {f"model.{key}": value for key, value in source.state_dict().items()}
    described = checkpoint.Description(EMOTIONS, {"network": config.to_dict()}, {}, {}, ())
    checkpoint.save(tmp_path / "run.safetensors", described, weights)
    torch.manual_seed(2)
    network = build(dataclasses.replace(config, input_size=112, dropout=0.3))
    record = initialise(network, str(tmp_path / "run.safetensors"), striped.faces[:4])
    assert record["taken"] == len(list(network.parameters()))
    assert record["fresh"] == []
    for key, value in network.state_dict().items():
        assert value.equal(source.state_dict()[key])
    with pytest.raises(ModelError, match="expected a network like the one to train"):
        initialise(build(dataclasses.replace(config, width=0.5)), str(tmp_path / "run.safetensors"), striped.faces[:4])

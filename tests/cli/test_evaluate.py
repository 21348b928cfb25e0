"""`mien evaluate` on a made dataset and a tiny real ONNX model whose predictions are known."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from mien.cli.evaluate import evaluate
from mien.cli.predictions import labels_of
from mien.emotions import EMOTIONS, FER2013_CODES, FERPLUS_COLUMNS
from mien.errors import ConfigError, DataError, MissingExtraError, ModelError
from mien.model_card import CARD_KEY, ModelCard

ANGER, DISGUST, FEAR, HAPPINESS, NEUTRAL, SADNESS, SURPRISE = range(7)
CONFIDENT = np.exp(3) / (np.exp(3) + 6)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run() -> Run:
    """Runs the command; returns exit code, standard output and standard error. Mien's own errors are raised."""
    app = typer.Typer()
    app.command()(evaluate)

    def call(*arguments: object) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    return call


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny.onnx", EMOTIONS)


def write_model(path: Path, classes: Sequence[str]) -> Path:
    """A model that predicts class c, with probability CONFIDENT, for a face whose only white pixel is (0, c)."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weights = np.zeros((48 * 48, len(classes)), np.float32)
    weights[range(len(classes)), range(len(classes))] = 3 / 255
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["faces"], ["float"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Flatten", ["float"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("faces", onnx.TensorProto.UINT8, ["N", 1, 48, 48])],
        [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["N", len(classes)])],
        [numpy_helper.from_array(weights, "weights")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    card = ModelCard("tiny", "1", tuple(classes), architecture={})
    helper.set_model_props(made, {CARD_KEY: card.to_json()})
    onnx.save(made, path)
    return path


def face(predicted: int) -> NDArray[np.uint8]:
    pixels = np.zeros((48, 48), np.uint8)
    pixels[0, predicted] = 255
    return pixels


def write_csv(folder: Path, rows: Sequence[tuple[int, int, str]], votes: Sequence[Sequence[int]] | None = None) -> Path:
    """fer2013.csv with rows of (label, what the model will predict, usage), and the votes beside it."""
    lines = ["emotion,pixels,Usage"]
    for label, predicted, usage in rows:
        lines.append(f"{FER2013_CODES.index(EMOTIONS[label])},{' '.join(map(str, face(predicted).ravel()))},{usage}")
    (folder / "fer2013.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if votes is not None:
        header = ["Usage", "Image name", *FERPLUS_COLUMNS[:-1], "NF"]
        cells = [[usage, f"fer{i:07}.png", *map(str, votes[i])] for i, (_, _, usage) in enumerate(rows)]
        text = "\n".join(",".join(line) for line in [header, *cells])
        (folder / "fer2013new.csv").write_text(text + "\n", encoding="utf-8")
    return folder / "fer2013.csv"


def for_(**votes: int) -> list[int]:
    return [votes.get(name, 0) for name in FERPLUS_COLUMNS]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Six validation rows, four of them predicted rightly, one training row; no votes."""
    pairs = [(FEAR, FEAR), (FEAR, SURPRISE), (FEAR, SURPRISE), (ANGER, ANGER), (SADNESS, SADNESS), (NEUTRAL, NEUTRAL)]
    return write_csv(tmp_path, [*((t, a, "PublicTest") for t, a in pairs), (ANGER, FEAR, "Training")])


@pytest.fixture
def voted(tmp_path: Path) -> Path:
    """Four validation rows: clear, clear without a majority of all votes, tied, contempt."""
    predictions = [HAPPINESS, FEAR, FEAR, ANGER]
    votes = [for_(happiness=9, neutral=1), for_(fear=4, anger=3, neutral=3), for_(fear=5, anger=5), for_(contempt=10)]
    return write_csv(tmp_path, [(ANGER, predicted, "PublicTest") for predicted in predictions], votes)


def test_json_is_one_object_with_the_promised_keys_and_nothing_else(run: Run, model: Path, plain: Path) -> None:
    code, out, _ = run(model, "--data", plain, "--json", "--protocol", "fer2013")
    values = json.loads(out)
    assert code == 0
    assert out.count("\n") == 1
    assert (values["protocol"], values["split"], values["n"]) == ("fer2013", "validation", 6)
    assert values["model"] == "tiny-1-float32"
    assert values["accuracy"] == pytest.approx(4 / 6)
    assert values["recall"]["fear"] == pytest.approx(1 / 3)
    assert values["precision"] | {"surprise": 0} == values["precision"]
    assert values["recall"]["disgust"] is None
    assert values["confusion"][FEAR][SURPRISE] == 2
    assert np.sum(values["confusion"]) == 6
    assert values["ece"] == pytest.approx(abs(CONFIDENT - 4 / 6), abs=1e-5)
    assert values["aurc"] == pytest.approx(2 / 6)  # all predictions are equally confident
    assert values["certain"]["threshold"] == 0.6
    assert (values["certain"]["fraction"], values["certain"]["accuracy"]) == (1, pytest.approx(4 / 6))
    assert values["recall_ci95"]["disgust"] is None
    low, high = values["recall_ci95"]["fear"]
    assert low < 1 / 3 < high
    low, high = values["accuracy_ci95"]
    assert 0 <= low < 4 / 6 < high <= 1


def test_all_protocols_are_a_line_each(run: Run, model: Path, voted: Path) -> None:
    _, out, _ = run(model, "--data", voted, "--json", "--protocol", "all")
    found = [json.loads(line) for line in out.splitlines()]
    assert [(one["protocol"], one["n"], one["accuracy"]) for one in found] == [
        ("fer2013", 4, 0.25),
        ("ferplus", 2, 1.0),
        ("ferplus-strict", 1, 1.0),
    ]


def test_the_protocol_goes_by_what_the_data_has(run: Run, model: Path, plain: Path, tmp_path: Path) -> None:
    assert json.loads(run(model, "--data", plain, "--json")[1])["protocol"] == "fer2013"
    assert len(run(model, "--data", plain, "--json", "--protocol", "all")[1].splitlines()) == 1
    with pytest.raises(ConfigError, match="needs FER"):
        run(model, "--data", plain, "--protocol", "ferplus")
    other = tmp_path / "voted"
    other.mkdir()
    data = write_csv(other, [(ANGER, FEAR, "PublicTest")], [for_(fear=10)])
    assert json.loads(run(model, "--data", data, "--json")[1])["protocol"] == "ferplus"


def test_the_table_shows_it_all(run: Run, model: Path, plain: Path) -> None:
    code, out, err = run(model, "--data", plain)
    assert code == 0
    assert "no better than guessing: 50 % of the faces are fear" in err
    assert "tiny-1-float32 on fer2013.csv, validation split, by fer2013: 6 faces" in out
    assert " 66.67 %  (95 % interval " in out
    assert "expected calibration error" in out
    assert " 100.00 %  (of which 66.67 % right, AURC 33.33 %)" in out
    assert "fear → surprise 67 % (2 of 3)" in out
    line = next(line for line in out.splitlines() if " fear " in line and "→" not in line)
    assert [cell.strip() for cell in line.split("│")[1:-1]] == ["fear", "100.0", "33.3", "50.0", "3"]
    line = next(line for line in out.splitlines() if " disgust " in line)
    assert [cell.strip() for cell in line.split("│")[1:-1]] == ["disgust", "–", "–", "–", "0"]


def test_figures_by_other_classes_are_by_their_own_labels() -> None:
    assert labels_of("ferplus", EMOTIONS) == "ferplus"
    assert labels_of("fer2013", ("calm", "loud")) == "own labels"


def test_the_split_is_the_one_asked_for(run: Run, model: Path, plain: Path) -> None:
    values = json.loads(run(model, "--data", plain, "--json", "--split", "training")[1])
    assert (values["split"], values["n"], values["accuracy"]) == ("training", 1, 0)
    with pytest.raises(DataError, match="no rows in the test split; training has 1, validation has 6"):
        run(model, "--data", plain, "--split", "test")


def test_rows_without_a_truth_are_counted(run: Run, model: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path, [(ANGER, FEAR, "PublicTest")], [for_(contempt=10)])
    with pytest.raises(DataError, match="ferplus has no truth for any of the 1 rows"):
        run(model, "--data", data)


def test_flip_averages_with_the_mirrored_face(run: Run, model: Path, plain: Path, tmp_path: Path) -> None:
    for options, expected in (((), CONFIDENT), (("--flip",), (CONFIDENT + 1 / 7) / 2)):
        run(model, "--data", plain, "--probabilities", tmp_path / "p.npz", *options)
        with np.load(tmp_path / "p.npz") as saved:
            assert saved["probabilities"].max(1) == pytest.approx(np.full(6, expected), abs=1e-5)


def test_probabilities_are_saved_with_rows_and_truth(run: Run, model: Path, voted: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "p.npz"
    run(model, "--data", voted, "--protocol", "all", "--probabilities", target)
    with np.load(target) as saved:
        assert saved["row"].tolist() == ["0", "1", "2", "3"]
        assert tuple(saved["classes"]) == EMOTIONS
        assert saved["probabilities"].shape == (4, 7)
        assert saved["probabilities"].dtype == np.float32
        assert saved["probabilities"].argmax(1).tolist() == [HAPPINESS, FEAR, FEAR, ANGER]
        assert saved["truth_fer2013"].tolist() == [ANGER] * 4
        assert saved["truth_ferplus"].tolist() == [HAPPINESS, FEAR, -1, -1]
        assert saved["truth_ferplus-strict"].tolist() == [HAPPINESS, -1, -1, -1]
    assert list(target.parent.iterdir()) == [target]


def test_confusion_matrices_are_drawn(run: Run, model: Path, voted: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    code, out, err = run(model, "--data", voted, "--json", "--confusion", tmp_path / "c.png")
    assert code == 0
    assert json.loads(out)
    assert "c.png" in err
    run(model, "--data", voted, "--protocol", "all", "--confusion", tmp_path / "a.png")
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == ["a-fer2013.png", "a-ferplus-strict.png", "a-ferplus.png", "c.png"]
    for name in names:
        with Image.open(tmp_path / name) as picture:
            picture.verify()


def test_each_kind_of_picture_goes_to_its_file(run: Run, model: Path, voted: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    options = [part for kind in ("reliability", "risk-coverage") for part in (f"--{kind}", tmp_path / f"{kind}.svg")]
    _, _, err = run(model, "--data", voted, "--protocol", "ferplus", *options)
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == ["reliability.svg", "risk-coverage.svg"]
    assert f"risk-coverage curve: {tmp_path / 'risk-coverage.svg'}" in err


def test_output_that_cannot_be_made_is_refused_before_the_work(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = tmp_path / "there is no data"
    with pytest.raises(ConfigError, match=r"\.npz, got p\.csv"):
        run(model, "--data", absent, "--probabilities", tmp_path / "p.csv")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"mien\[train\]"):
        run(model, "--data", absent, "--confusion", tmp_path / "c.png")


def test_bad_rows_stop_it_or_are_skipped_and_reported(run: Run, model: Path, plain: Path) -> None:
    text = plain.read_text(encoding="utf-8")
    plain.write_text(text + "3,1 2 3,PublicTest\n", encoding="utf-8")
    with pytest.raises(DataError, match="row 7"):
        run(model, "--data", plain)
    code, out, err = run(model, "--data", plain, "--json", "--skip-bad")
    assert code == 1
    assert json.loads(out)["n"] == 6
    assert "row 7" in err


def test_own_classes_come_from_the_model(run: Run, tmp_path: Path) -> None:
    own = write_model(tmp_path / "own.onnx", ("bored", "keen"))
    for name, predicted in (("bored", 0), ("keen", 0)):
        folder = tmp_path / "faces" / "val" / name
        folder.mkdir(parents=True)
        Image.fromarray(face(predicted)).save(folder / "1.png")
    values = json.loads(run(own, "--data", tmp_path / "faces", "--json")[1])
    assert values["recall"] == {"bored": 1, "keen": 0}
    (tmp_path / "faces" / "val" / "keen").rename(tmp_path / "faces" / "val" / "eager")
    with pytest.raises(ConfigError, match=r"bored, keen; those of .* are bored, eager"):
        run(own, "--data", tmp_path / "faces")


def test_a_model_that_is_not_there_is_named(run: Run, plain: Path) -> None:
    with pytest.raises(ModelError, match="no-such-model"):
        run("no-such-model", "--data", plain)


def test_a_checkpoint_without_torch_names_the_extra(
    run: Run, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mien.training.checkpoint", None)
    (tmp_path / "best.safetensors").touch()
    for checkpoint in (tmp_path, tmp_path / "best.safetensors"):
        with pytest.raises(MissingExtraError, match=r"checkpoint needs .*mien\[train\]"):
            run(checkpoint, "--data", plain)


def test_a_checkpoint_predicts_as_its_network_does(run: Run, plain: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from mien.training.checkpoint import Description, predict_faces, save
    from mien.training.network import AlexNet, AlexNetConfig

    torch.manual_seed(0)
    config = AlexNetConfig(input_size=67, width=0.05, hidden=(8, 8))
    tensors = {f"model.{name}": tensor for name, tensor in AlexNet(config).state_dict().items()}
    recipe = {"network": config.to_dict()}
    described = Description(EMOTIONS, recipe=recipe, data={}, progress={}, history=(), temperature=2.0)
    folder = tmp_path / "run"
    folder.mkdir()
    save(folder / "best.safetensors", described, tensors)
    _, expected = predict_faces(
        folder, np.stack([face(a) for a in (FEAR, SURPRISE, SURPRISE, ANGER, SADNESS, NEUTRAL)])
    )
    for checkpoint in (folder, folder / "best.safetensors"):
        code, _, _ = run(checkpoint, "--data", plain, "--json", "--probabilities", tmp_path / "p.npz")
        assert code == 0
        with np.load(tmp_path / "p.npz") as saved:
            assert saved["probabilities"] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ConfigError, match="OMP_NUM_THREADS"):
        run(folder, "--data", plain, "--threads", 2)
    with pytest.raises(ModelError, match="no checkpoint"):
        run(tmp_path, "--data", plain)


def test_another_prior_is_named_and_a_model_without_shares_refused(run: Run, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="states how frequent its classes were in training"):
        run(model, "--data", tmp_path, "--prior", "uniform")
    with pytest.raises(ConfigError, match=r"--prior is training, uniform or class=frequency,..., got 'even'"):
        run(model, "--data", tmp_path, "--prior", "even")

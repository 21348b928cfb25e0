"""`mien errors` on a made dataset and a tiny real ONNX model whose predictions are known."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from mien.cli.errors import errors
from mien.emotions import EMOTIONS, FER2013_CODES
from mien.errors import ConfigError, DataError, ModelError
from mien.reports.gallery import FACES
from mien.runtime.classifier import Classifier

from .conftest import assert_one_line_error, mien
from .test_evaluate import ANGER, FEAR, HAPPINESS, NEUTRAL, SADNESS, SURPRISE, face, for_, write_csv, write_model

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run() -> Run:
    """Runs the command; returns exit code and standard error. Mien's own errors are raised."""
    app = typer.Typer()
    app.command()(errors)

    def call(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.stdout == ""
        return result.exit_code, result.stderr

    return call


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny.onnx", EMOTIONS)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Six validation rows, two of them predicted wrongly, and a training row; no votes."""
    pairs = [(FEAR, FEAR), (FEAR, SURPRISE), (FEAR, SURPRISE), (ANGER, ANGER), (SADNESS, SADNESS), (NEUTRAL, NEUTRAL)]
    return write_csv(tmp_path, [*((t, a, "PublicTest") for t, a in pairs), (ANGER, FEAR, "Training")])


@pytest.fixture
def voted(tmp_path: Path) -> Path:
    """Three validation rows by their votes: right, wrong, contempt; by their labels all are wrong."""
    votes = [for_(happiness=9, neutral=1), for_(fear=8, surprise=2), for_(contempt=10)]
    predictions = [HAPPINESS, SADNESS, HAPPINESS]
    return write_csv(tmp_path, [(ANGER, predicted, "PublicTest") for predicted in predictions], votes)


def wrong_ids(page: Path) -> list[str]:
    html = page.read_text(encoding="utf-8").split("<h2>Most confidently wrong</h2>")[1]
    return re.findall(r'alt="row ([^"]*)"', html.split("</section>", 1)[0])


def test_the_page_names_the_run_and_shows_what_is_wrong(run: Run, model: Path, plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "page.html"
    code, err = run("--data", plain, "--model", model, "-o", out)
    assert code == 0
    assert "2 of 6 faces are wrong, 0 labels are suspected" in err
    assert str(out) in err
    assert "do not publish" in err
    html = out.read_text(encoding="utf-8")
    for said in ("tiny-1-float32", "<dd>fer2013</dd>", "<dd>validation</dd>", "66.7 %", "fer2013.csv"):
        assert said in html
    assert wrong_ids(out) == ["1", "2"]
    assert list(out.parent.iterdir()) == [out]


def test_the_default_shows_as_many_faces_as_the_library(run: Run, model: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path, [(FEAR, SURPRISE, "PublicTest")] * (FACES + 2))
    out = tmp_path / "page.html"
    run("--data", data, "--model", model, "-o", out)
    assert wrong_ids(out) == [str(i) for i in range(FACES)]
    run("--data", data, "--model", model, "-o", out, "--limit", 3)
    assert wrong_ids(out) == ["0", "1", "2"]


def test_protocol_and_split_are_those_asked_for(run: Run, model: Path, voted: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    _, err = run("--data", voted, "--model", model, "-o", out)
    assert "1 of 2 faces are wrong" in err
    assert "<dd>ferplus</dd>" in out.read_text(encoding="utf-8")
    assert wrong_ids(out) == ["1"]
    _, err = run("--data", voted, "--model", model, "-o", out, "--protocol", "fer2013")
    assert "3 of 3 faces are wrong" in err
    with pytest.raises(DataError, match="no rows in the test split"):
        run("--data", voted, "--model", model, "-o", out, "--split", "test")


def test_custom_classes_come_from_the_model(run: Run, tmp_path: Path) -> None:
    own = write_model(tmp_path / "own.onnx", ("bored", "keen"))
    for name, predicted in (("bored", 0), ("keen", 0)):
        folder = tmp_path / "faces" / "val" / name
        folder.mkdir(parents=True)
        Image.fromarray(face(predicted)).save(folder / "1.png")
    out = tmp_path / "page.html"
    _, err = run("--data", tmp_path / "faces", "--model", own, "-o", out)
    assert "1 of 2 faces are wrong" in err
    assert "keen" in wrong_ids(out)[0]
    assert 'class="swatch' in out.read_text(encoding="utf-8")


def test_another_prior_changes_the_predictions_and_is_named(run: Run, brightness_model: Path, tmp_path: Path) -> None:
    grey = np.full((48, 48), 20, np.uint8)  # a little nearer to anger than to disgust, which is rarer
    lines = ["emotion,pixels,Usage"]
    lines.append(f"{FER2013_CODES.index('anger')},{' '.join(map(str, grey.ravel()))},PublicTest")
    data = tmp_path / "fer2013.csv"
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = tmp_path / "page.html"
    assert "0 of 1 faces" in run("--data", data, "--model", brightness_model, "-o", out)[1]
    assert "1 of 1 faces" in run("--data", data, "--model", brightness_model, "-o", out, "--prior", "uniform")[1]
    assert "(uniform prior)" in out.read_text(encoding="utf-8")


def test_without_yunet_roll_is_left_out(
    run: Run, model: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.runtime.weights.find_yunet", lambda: None)
    _, err = run("--data", plain, "--model", model, "-o", tmp_path / "page.html")
    assert "head roll is not measured" in err
    assert "Head roll was not measured" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_bad_rows_are_left_out_if_asked_and_end_with_1(run: Run, model: Path, plain: Path, tmp_path: Path) -> None:
    plain.write_text(plain.read_text(encoding="utf-8") + "3,1 2 3,PublicTest\n", encoding="utf-8")
    out = tmp_path / "page.html"
    with pytest.raises(DataError, match="row 7"):
        run("--data", plain, "--model", model, "-o", out)
    assert not out.exists()
    code, err = run("--data", plain, "--model", model, "-o", out, "--skip-bad")
    assert code == 1
    assert "2 of 6 faces" in err
    assert "row 7" in err


def test_what_cannot_be_written_is_refused_before_the_work(run: Run, model: Path, plain: Path, tmp_path: Path) -> None:
    absent = tmp_path / "there is no data"
    with pytest.raises(ConfigError, match=r"must end in \.html, got page\.png"):
        run("--data", absent, "--model", model, "-o", tmp_path / "page.png")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        run("--data", absent, "--model", model, "-o", tmp_path / "folder.html")
    same = plain.rename(tmp_path / "data.html")
    with pytest.raises(ConfigError, match="is read from"):
        run("--data", same, "--model", model, "-o", same)
    with pytest.raises(ModelError, match="no-such-model"):
        run("--data", same, "--model", "no-such-model", "-o", tmp_path / "page.html")


@pytest.mark.parametrize("moment", ["predicting", "writing"])
def test_an_interrupt_leaves_the_old_page_and_no_partial_file(
    model: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    out = tmp_path / "pages" / "page.html"
    out.parent.mkdir()
    out.write_text("old", encoding="utf-8")
    write = Path.write_text

    def interrupted(what: object, *_: object, **__: object) -> int:
        if isinstance(what, Path):
            write(what, "half a page", encoding="utf-8")
        raise KeyboardInterrupt

    owner, name = (Classifier, "probabilities") if moment == "predicting" else (Path, "write_text")
    monkeypatch.setattr(owner, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        errors(data=plain, out=out, model=str(model))
    monkeypatch.undo()
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]
    assert out.read_text(encoding="utf-8") == "old"


def test_a_wrong_protocol_is_one_line(plain: Path, model: Path, tmp_path: Path) -> None:
    command = ("errors", "--data", plain, "--model", model, "-o", tmp_path / "page.html", "--protocol", "ferplus")
    assert_one_line_error(mien(*command), "needs FER+ votes")
    assert not (tmp_path / "page.html").exists()

"""The page on a model's mistakes: true to the figures, whole in itself, inert whatever the data holds."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS, FERPLUS_COLUMNS
from mien.errors import ConfigError, DataError
from mien.evaluation.conditions import Group
from mien.reports.evaluated import Evaluated
from mien.reports.gallery import render_gallery, save_gallery

from .test_page import Page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROLLS = (Group(0.0, 9.5, 20, 18), Group(float("nan"), float("nan"), 4, 1))


def faces(n: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, 48, 48)).astype(np.uint8)


def evaluated(
    truth: list[int], predicted: list[int], confidence: list[float], *, classes: tuple[str, ...] = EMOTIONS
) -> Evaluated:
    """Rows r0, r1, ... of these classes, predicted so, with the rest of the probability spread evenly."""
    n, c = len(truth), len(classes)
    probabilities = np.repeat((1 - np.array(confidence, np.float32))[:, None] / (c - 1), c, axis=1)
    probabilities[np.arange(n), predicted] = confidence
    dataset = FaceDataset(
        source="some/folder/mine.csv",
        classes=classes,
        faces=faces(n),
        labels=np.array(truth, np.int64),
        votes=None,
        split=np.full(n, "validation"),
        row=np.array([f"r{i}" for i in range(n)]),
    )
    return Evaluated("tiny-1", "fer2013", "validation", dataset, np.array(truth), probabilities.astype(np.float32))


@pytest.fixture
def some() -> Evaluated:
    """Twenty right rows, and six wrong ones: fear taken for surprise four times, neutral for anger twice."""
    truth, predicted = [3] * 10 + [6] * 10 + [2] * 4 + [4] * 2, [3] * 10 + [6] * 10 + [6] * 4 + [0] * 2
    confidence = [0.7] * 20 + [0.72, 0.95, 0.8, 0.65, 0.5, 0.9]
    return evaluated(truth, predicted, confidence)


def section(html: str, title: str) -> str:
    return html.split(f"<h2>{title}</h2>")[1].split("</section>", maxsplit=1)[0]


def ids(html: str) -> list[str]:
    return re.findall(r'alt="row ([^"]*)"', html)


def test_it_names_the_run_and_its_figures(some: Evaluated) -> None:
    page = Page(render_gallery(some))
    assert "mine.csv" in page.text
    for said in ("tiny-1", "fer2013", "validation", "faces26", "wrong6", "accuracy76.9 % (", "faces of people"):
        assert said in page.text
    assert f"Expected calibration error: {100 * some.metrics.ece:.1f} %" in page.text
    assert "fear······40 %" in page.text  # the row of fear in the matrix, and its recall


def test_mistakes_come_with_the_most_confident_first(some: Evaluated) -> None:
    html = render_gallery(some)
    assert ids(section(html, "Most confidently wrong")) == ["r21", "r25", "r22", "r20", "r23", "r24"]
    pairs = section(html, "Frequent confusions")
    assert ids(pairs) == ["r21", "r22", "r20", "r23", "r25", "r24"]
    assert "4 of 4 faces, 100.0" in pairs
    few = render_gallery(some, faces=2)
    assert ids(section(few, "Most confidently wrong")) == ["r21", "r25"]
    assert "2 of 6 faces whose prediction is not the label" in Page(few).text


def test_the_faces_are_those_of_the_data_as_png(some: Evaluated) -> None:
    html = section(render_gallery(some), "Most confidently wrong")
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    for row, picture in zip((21, 25, 22, 20, 23, 24), pictures, strict=True):
        decoded = cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert decoded is not None
        assert (decoded == faces(26)[row]).all()


def test_suspected_labels_are_listed_by_their_ids(some: Evaluated) -> None:
    html = section(render_gallery(some, faces=1), "Suspected labels")
    # surprise has a threshold of 0.7, and no face has the label anger
    assert ids(html) == ["r21"]
    assert "3 of 26 rows; the 1 most suspect are shown." in html
    assert "<code>r21, r22, r20</code>" in html
    assert "voters" not in html


def test_votes_are_shown_and_weigh_in_where_they_are_the_truth(some: Evaluated) -> None:
    votes = np.zeros((26, 10), np.float32)
    named = [FERPLUS_COLUMNS.index(some.dataset.classes[k]) for k in some.truth]
    votes[np.arange(26), named] = 10
    votes[21, named[21]], votes[21, FERPLUS_COLUMNS.index("surprise")] = 7, 3
    votes[22, named[22]], votes[22, FERPLUS_COLUMNS.index("contempt")] = 9, 1
    voted = replace(some, dataset=replace(some.dataset, votes=votes), protocol="ferplus")
    html = render_gallery(voted)
    suspected = section(html, "Suspected labels")
    assert ids(suspected) == ["r22", "r20"]
    assert "at most 10\N{NO-BREAK SPACE}% of the voters named that class" in suspected
    text = Page(html).text
    assert "votes fear 70 %, surprise 30 %" in text
    assert "votes fear 90 %, contempt 10 %" in text
    by_label = render_gallery(replace(voted, protocol="fer2013"))
    assert ids(section(by_label, "Suspected labels")) == ["r21", "r22", "r20"]


def test_the_own_label_is_shown_where_the_truth_is_another(some: Evaluated) -> None:
    labels = some.dataset.labels.copy()
    labels[21] = EMOTIONS.index("disgust")
    html = render_gallery(replace(some, dataset=replace(some.dataset, labels=labels)))
    assert section(html, "Most confidently wrong").count("original label disgust") == 1
    assert html.count("original label") == 3  # under confusions and suspected labels as well


def test_accuracy_by_condition_has_counts_and_intervals(some: Evaluated) -> None:
    text = Page(render_gallery(replace(some, rolls=ROLLS))).text
    low, high = ROLLS[0].ci95
    assert f"0 to 102090.0 %{100 * low:.1f} to {100 * high:.1f}" in text
    assert "not found425.0 %" in text
    assert "Roll of 24 faces, evenly spaced," in text
    for title in ("Sharpness", "Brightness", "Contrast"):
        assert title in text
    assert "Head roll was not measured" in Page(render_gallery(some)).text


def test_custom_classes_and_hostile_names_are_inert(some: Evaluated) -> None:
    nasty = '<img src="http://example.org/x.png" onerror=alert(1)>'
    made = evaluated([0, 1, 2, 0], [0, 2, 2, 2], [0.9, 0.8, 0.7, 0.6], classes=("bored", nasty, "keen"))
    rows = made.dataset.row.astype("U99")
    rows[1] = f"folder/{nasty}.png"
    html = render_gallery(replace(made, dataset=replace(made.dataset, row=rows, source=nasty)))
    page = Page(html)
    assert nasty in page.text
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in page.all("img"))
    assert "image/svg+xml" not in html  # no emoji for custom classes
    assert not page.scripts
    assert not re.findall(r'(?:src|href)="(?!data:)', html)


def test_nothing_wrong_is_said_so() -> None:
    html = render_gallery(evaluated([0, 1], [0, 1], [0.9, 0.8]))
    assert "No prediction is wrong." in html
    assert "No row is suspected." in html
    assert "Frequent confusions" not in html
    assert "<img" not in html


def test_training_faces_come_with_a_warning(some: Evaluated) -> None:
    warning = "The model may have learnt these faces"
    assert warning in render_gallery(replace(some, split="training"))
    assert warning not in render_gallery(some)


def test_it_is_written_whole_or_not_at_all(some: Evaluated, tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    save_gallery(some, path)
    assert path.read_bytes() == render_gallery(some).encode()
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(ConfigError, match="is a folder"):
        save_gallery(some, tmp_path)
    with pytest.raises(DataError, match="26 rows, got 25"):
        save_gallery(replace(some, truth=some.truth[:-1]), path)
    assert path.stat().st_size < 200_000


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_chromium_shows_it_without_a_request(chromium: Browser, some: Evaluated, tmp_path: Path, width: int) -> None:
    save_gallery(replace(some, rolls=ROLLS), tmp_path / "page.html")
    page = chromium.new_page(viewport={"width": width, "height": 800})
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto((tmp_path / "page.html").as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [(tmp_path / "page.html").as_uri()]
    assert complaints == []
    sizes = page.evaluate("[...document.images].map((i) => [i.naturalWidth, i.width / i.height])")
    assert len(sizes) == 15
    assert all(natural == 48 and ratio == pytest.approx(1) for natural, ratio in sizes)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = """[...document.querySelectorAll("td, tbody th")].filter((cell) =>
        cell.getBoundingClientRect().right > cell.closest(".tablebox").getBoundingClientRect().right + 1).length"""
    assert page.evaluate(outside) == 0
    page.close()

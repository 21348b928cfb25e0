from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.errors import ImageFormatError
from mien.images import heif
from mien.images.decode import read_image
from mien.images.find import find_images, passed_over

# 64x48 pixels: left half red, right half blue, the upper half of both greener. Made by pillow-heif, which encodes.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAAH0AAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5j"
    "bHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBp"
    "eGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAAIVtZGF0AAAAeSgBrxOA5TH2z9E1P+6hz7cmZOoMQv/mqz7Jhy2T"
    "zVVfxGh6wpueoML+Y2n87SOLPg2xlKNBhVCTjbRrCmmslO3P1kltExvPHGTTXRhO7BH0kkiSs1vKzzDT3NCJlZ8nr34gysfo4t07"
    "zuOWUN8Cz9WcMmVAAZ45Ass="
)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    (tmp_path / "album").mkdir()
    for name in ("IMG_1.HEIC", "IMG_2.heic", "unnamed"):
        (tmp_path / "album" / name).write_bytes(HEIC)
    Image.new("L", (8, 8)).save(tmp_path / "album" / "a.png")
    (tmp_path / "album" / "notes.txt").write_text("no picture")
    return tmp_path / "album"


def test_heic_is_read_where_its_decoder_is_installed(album: Path) -> None:
    pytest.importorskip("pi_heif")
    for source in (HEIC, album / "unnamed"):
        image = read_image(source)
        assert image.shape == (48, 64, 3)
        for (row, column), bgr in {(6, 8): (90, 200, 220), (40, 50): (90, 40, 30)}.items():
            assert np.abs(image[row, column].astype(int) - bgr).max() < 20
    search = find_images([album])
    assert [image.path.name for image in search.images] == ["IMG_1.HEIC", "IMG_2.heic", "a.png", "unnamed"]
    assert search.passed == {".txt": 1}


def test_without_it_heic_is_counted_and_the_way_told(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    monkeypatch.setattr(heif, "_register", lambda: None)
    assert not heif.can_read_heif()
    for source in (HEIC, album / "IMG_1.HEIC"):
        with pytest.raises(ImageFormatError, match=r"reading HEIC needs an optional part of Mien: .*mien\[heic\]"):
            read_image(source)
    search = find_images([album])
    assert [image.path.name for image in search.images] == ["a.png"]
    assert search.passed == {".heic": 2, ".txt": 1, "without a suffix": 1}
    assert passed_over(search.passed) == (
        "4 passed over: 2 .heic, 1 .txt, 1 without a suffix (HEIC is read with: pip install 'mien[heic]')"
    )


def test_an_opener_that_the_user_registered_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import ImageFile

    class Stripes(ImageFile.ImageFile):
        format = "STRIPES"

        def _open(self) -> None:
            self._size, self._mode = (4, 2), "L"
            self.tile = [ImageFile._Tile("raw", (0, 0, 4, 2), 7, ("L", 0, 1))]

    monkeypatch.setattr(Image, "OPEN", {**Image.OPEN})
    content = b"STRIPES" + bytes([0, 255, 0, 255] * 2)
    with pytest.raises(ImageFormatError, match="not a picture"):
        read_image(content)
    monkeypatch.setitem(Image.OPEN, "STRIPES", (Stripes, lambda prefix: prefix.startswith(b"STRIPES")))
    assert read_image(content)[0, :, 0].tolist() == [0, 255, 0, 255]
    with pytest.raises(ImageFormatError, match="not a picture"):
        read_image(content, formats=("Jpeg", "Png"))

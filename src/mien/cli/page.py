"""`mien page`: the page of `mien serve` as static files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import console, options
from mien.cli.options import ANALYZER

if TYPE_CHECKING:
    from mien.options import OptionFields

Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="FOLDER", help="The folder to write, which must be new or empty.")
]


def page(
    *,
    out: Out,
    force: options.Force = False,
    model: options.Model = None,
    detector_model: options.DetectorFile = None,
    max_faces: options.MaxFaces = ANALYZER.max_faces,
    detect_mode: options.DetectMode = ANALYZER.detect_mode,
    detect_side: options.DetectSide = ANALYZER.detect_side,
    uncertain_below: options.UncertainBelow = ANALYZER.uncertain_below,
    prior: options.Prior = "training",
) -> None:
    """Write the page as static files, for any web server: it reads photos and the camera in the visitor's browser.

    Pictures never leave the visitor's device. The model, the face detector and all else that the page needs lie in the
    folder, which may be put anywhere, also below another site. The camera needs https or localhost.
    """
    from mien.analyzer import load
    from mien.runtime.weights import find_yunet
    from mien.service.site import write_site

    faces: OptionFields = {"max_faces": max_faces, "detect_mode": detect_mode, "detect_side": detect_side}
    faces |= {"uncertain_below": uncertain_below, "prior": options.prior_of(prior)}
    has_yunet = detector_model is not None or find_yunet() is not None
    analyzer = load(model, detector="yunet" if has_yunet else "none", detector_model=detector_model, **faces)
    size = write_site(analyzer, out, force=force)
    if not has_yunet:
        console.note("YuNet is not installed, so visitors mark faces themselves: `mien detector yunet` installs it")
    console.log(f"wrote {out}: {analyzer.model_id}, {size / 1e6:.1f} MB")
    console.log(f'To see it: python -m http.server --directory "{out}"')

"""The sizes and scores of the search for faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SearchTable:
    """The sizes in pixels and the scores 0..1 of the search. The page's engine gets them from here."""

    dark_level: int = 100
    """A picture is dark if nearly all its values are lower; it is then brightened until nearly all are below
    `bright_level` (`brightness.py`)."""
    bright_level: int = 200
    min_side: int = 160
    """Smaller pictures are enlarged to this longer side."""
    full_detail: int = 40
    """The size of face in pixels that the network finds reliably: the picture is never shrunk so that the smallest
    wanted face has less."""
    max_pixels: int = 24_000_000
    """The network sees at most this many pixels at full detail; larger pictures are shrunk."""
    thorough_detail: int = 30
    """As full_detail, by the mode `thorough`: the picture is enlarged where the smallest wanted face has less."""
    thorough_max_pixels: int = 54_000_000
    level_ratio: int = 4
    level_side: int = 512
    max_face: int = 320
    """On a level, larger faces are left to the next one, which sees them whole."""
    tile: int = 1536
    tile_overlap: int = 160
    """In pixels. Larger faces are found on the next level as well; on the last one tiles overlap by level_side."""
    candidate_score: float = 0.1
    thorough_candidate_score: float = 0.05
    max_candidates: int = 500
    """The most confident ones: a bound of the time for closer looks."""
    look_face: int = 80
    """The size of a face in pixels that a closer look scales it to, in a cut of `look_side` pixels."""
    look_side: int = 128
    same_overlap: float = 0.7
    """A large face keeps the box and landmarks of the first look if they overlap by this with the closer look's."""
    upright_score: float = 0.88
    """A face whose closer look has a lower score may be turned, if the first look gave it `turn_score` or more. It may
    be tilted from `oblique_score` on, if it has `full_detail` pixels: most of what is smaller is texture."""
    oblique_score: float = 0.2
    turn_score: float = 0.3
    oblique_turn: int = 35
    """Degrees. Upright faces keep `upright_score` if they lean by 15, so this shows those from 20 to 50."""
    turn_gain: float = 0.1
    """A look with less than `upright_score` counts if its score is higher than at smaller turns by more than this."""
    least_lean: float = 4.0
    """Degrees that the landmarks of a face lean by at least if it is looked at straightened: small faces that lean by
    20 show 5."""
    roll_face: int = 190
    """The size of a face in pixels that it is then scaled to, in a cut of `roll_side`. Larger ones show their lean as
    it is."""
    roll_side: int = 224
    roll_looks: int = 2
    """At most this number of such looks, until one shows the face within `roll_step` degrees of upright."""
    roll_step: float = 5.0
    surely_upright_score: float = 0.92
    """The most confident face of a picture is looked at upside down where its score is lower: studio portraits that
    stand on their heads have up to 0.91."""
    turned_side: int = 640
    """The longer side in pixels of the copy on which turned faces are looked for, where nothing else was found."""
    min_score: float = 0.3
    """Detections with a lower score are not reported."""
    max_overlap: float = 0.3
    """Of detections that overlap by more (intersection over union), the most confident stays."""


TABLE: Final = SearchTable()

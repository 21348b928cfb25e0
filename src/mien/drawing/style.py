"""How faces are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mien.errors import ConfigError

COVERING: Final = ("emoji", "blur", "pixelate")
"""The themes that hide whole heads: under an emoji, blurred, or in large pixels."""

THEMES: Final = ("labels", *COVERING, "minimal")
"""labels: a box, a label, bars; minimal: the box's corners and a small emoji; the others are COVERING."""


@dataclass(frozen=True, slots=True)
class Style:
    """What is drawn over each face; `Style.of` knows what goes with each theme.

    theme   one of THEMES
    emoji   an emoji: over the whole face in the theme "emoji", which cannot do without, else a small one at the label
    labels  a label with emotion and probability
    bars    a bar for each class, where there is room
    tracks  the label begins with the face's track, where it has one

    Raises ConfigError on another theme, and on the theme "emoji" without emoji.
    """

    theme: str = "labels"
    emoji: bool = False
    labels: bool = True
    bars: bool = True
    tracks: bool = False

    def __post_init__(self) -> None:
        if self.theme not in THEMES:
            raise ConfigError(f"unknown theme {self.theme!r}; known are {', '.join(THEMES)}")
        if self.theme == "emoji" and not self.emoji:
            raise ConfigError("the theme 'emoji' draws emoji: leave them on, or choose another theme")

    @property
    def covers(self) -> bool:
        """Whether faces are hidden."""
        return self.theme in COVERING

    @classmethod
    def of(
        cls,
        theme: str = "labels",
        *,
        emoji: bool | None = None,
        labels: bool | None = None,
        bars: bool | None = None,
        tracks: bool = False,
    ) -> Style:
        """A theme as it is meant, but for what is set otherwise.

        "labels" has labels and bars, "minimal" a small emoji; those that cover have nothing besides.
        """
        plain = theme == "labels"
        return cls(
            theme,
            emoji=theme in ("emoji", "minimal") if emoji is None else emoji,
            labels=plain if labels is None else labels,
            bars=plain if bars is None else bars,
            tracks=tracks,
        )

"""The seven emotions, their fixed order, the names that people use for them, and the code books of FER2013 and FER+."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from mien.errors import DataError


class Emotion(StrEnum):
    """The seven emotions; members equal their own names, so `face.emotion == "anger"` works as well."""

    ANGER = "anger"
    DISGUST = "disgust"
    FEAR = "fear"
    HAPPINESS = "happiness"
    NEUTRAL = "neutral"
    SADNESS = "sadness"
    SURPRISE = "surprise"


EMOTIONS: Final[tuple[str, ...]] = tuple(emotion.value for emotion in Emotion)
"""The class order of every array and file of Mien's own models: alphabetical."""

SYNONYMS: Final = MappingProxyType(
    {
        "angry": "anger",
        "disgusted": "disgust",
        "fearful": "fear",
        "afraid": "fear",
        "scared": "fear",
        "happy": "happiness",
        "joy": "happiness",
        "sad": "sadness",
        "surprised": "surprise",
        "calm": "neutral",
        "neutrality": "neutral",
    }
)
"""Other spellings that datasets use, to Mien's names."""

FER2013_CODES: Final[tuple[str, ...]] = (
    "anger",
    "disgust",
    "fear",
    "happiness",
    "sadness",
    "surprise",
    "neutral",
)
"""What the codes 0..6 in the `emotion` column of FER2013 mean (Goodfellow et al., ICONIP 2013)."""

FERPLUS_COLUMNS: Final[tuple[str, ...]] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "nf",
)
"""The ten vote columns of FER+ in their order (Barsoum et al., ICMI 2016); `nf` means not a face."""

EMOTION_COLORS: Final = MappingProxyType(
    {
        "anger": (213, 94, 0),
        "disgust": (0, 158, 115),
        "fear": (204, 121, 167),
        "happiness": (240, 228, 66),
        "neutral": (170, 170, 170),
        "sadness": (0, 114, 178),
        "surprise": (86, 180, 233),
    }
)
"""RGB, 0..255. The palette of Okabe and Ito (2008), which color-blind people can distinguish."""


def likeliest(probabilities: Mapping[str, float]) -> str:
    """The class with the highest probability of all; of several such neutral, else the first.

    Probabilities that are all the same, as of a picture without contrast, say nothing of any emotion.
    """
    highest = max(probabilities.values())
    if probabilities.get(Emotion.NEUTRAL) == highest:
        return Emotion.NEUTRAL.value
    return next(name for name, probability in probabilities.items() if probability == highest)


def parse_emotion(name: str) -> str:
    """Mien's name for an emotion by any of its usual names, in any case. Raises DataError on one it does not know."""
    key = name.strip().lower()
    key = SYNONYMS.get(key, key)
    if key not in EMOTIONS:
        raise DataError(f"unknown emotion {name!r}; known are {', '.join(EMOTIONS)} and the usual synonyms")
    return key

"""The records of `mien.records` and the model card, for the OpenAPI document. Answers are not made of these."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field


class BoxRecord(BaseModel):
    """A rectangle in pixels of the picture, clipped to it."""

    x: float
    y: float
    width: float
    height: float


class FaceRecord(BaseModel):
    """One face and its emotion."""

    box: BoxRecord
    score: float | None = Field(description="The detector's, 0 to 1; null where it has none.")
    emotion: str
    confidence: float = Field(ge=0, le=1, description="The probability of `emotion`, calibrated.")
    uncertain: bool = Field(description="Whether `confidence` is below the threshold.")
    probabilities: dict[str, float] = Field(description="By class; they sum to 1.")
    track: int | None = Field(description="The face's number in a stream; null in a photo.")


_EXAMPLE: Final[dict[str, Any]] = {
    "schema": 1,
    "model": "mien-0.3.0-int8",
    "source": "astronaut.jpg",
    "frame": None,
    "time_s": None,
    "width": 512,
    "height": 512,
    "faces": [
        {
            "box": {"x": 178.2, "y": 62.8, "width": 90.1, "height": 113.2},
            "score": 0.9301,
            "emotion": "happiness",
            "confidence": 0.999998,
            "uncertain": False,
            "probabilities": {
                "anger": 0.0,
                "disgust": 0.0,
                "fear": 0.0,
                "happiness": 0.999998,
                "neutral": 2e-06,
                "sadness": 0.0,
                "surprise": 0.0,
            },
            "track": None,
        }
    ],
    "error": None,
}


class PictureRecord(BaseModel):
    """What was found in one picture: the JSON of `mien predict --json`."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    schema_: int = Field(alias="schema", description="The version of the record.")
    model: str = Field(description="The id of the model that judged.")
    source: str | None = Field(description="The file's name, where one came with it.")
    frame: int | None
    time_s: float | None
    width: int | None
    height: int | None
    faces: list[FaceRecord]
    error: str | None = Field(description="Why the picture could not be read; there are no faces then.")


class StatusRecord(BaseModel):
    """How the service is."""

    status: str

"""`POST /v1/classify`: a picture and boxes of the client's own in, a record out."""

from __future__ import annotations

from functools import partial
from threading import Event
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.responses import JSONResponse, Response

from mien.analyzer import Analyzer
from mien.errors import ConfigError
from mien.records import PictureRecord
from mien.runtime.crops import WHOLE_PICTURE
from mien.service.errors import Problem, problem_responses
from mien.service.json_body import BOXES
from mien.service.json_body import SCHEMA as JSON_SCHEMA
from mien.service.metrics import Metrics
from mien.service.openapi import BINARY, pictures_body
from mien.service.pool import Pool
from mien.service.predict import refusals, while_there
from mien.service.settings import Settings
from mien.service.uploads import BodyReader, Given, Upload
from mien.types import Box, CropRule

MAX_BOXES: Final = 64
"""Of one picture: what goes through the network in one batch."""

MAX_AREA: Final = 4
"""How many largest pictures the squares of the boxes' heights may fill together. Faces do not lie over each other, and
each pixel costs time.
"""

_Place = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False, strict=True)]
_Side = Annotated[float, Field(ge=1, le=1e6, allow_inf_nan=False, strict=True)]


class _BoxObject(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    x: _Place
    y: _Place
    width: _Side
    height: _Side


_Boxes = Annotated[
    list[tuple[_Place, _Place, _Side, _Side] | _BoxObject], Field(min_length=1, max_length=MAX_BOXES, strict=True)
]
_ADAPTER: Final = TypeAdapter[list[tuple[float, float, float, float] | _BoxObject]](_Boxes)

_SCHEMA: Final[dict[str, Any]] = {
    "description": "Each face's left top corner, width and height, in pixels of the picture upright.",
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_BOXES,
    "items": {
        "anyOf": [
            {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
            {"$ref": "#/components/schemas/BoxRecord"},
        ]
    },
}

_BODY: Final = pictures_body(
    {**JSON_SCHEMA, "properties": {**JSON_SCHEMA["properties"], BOXES: {**_SCHEMA, "type": ["array", "null"]}}},
    {"file": BINARY, BOXES: _SCHEMA},
    {BOXES: {"contentType": "application/json"}},
)

_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The picture's record; its faces are in the order of the boxes.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PictureRecord"}}},
    },
    **problem_responses(400, 401, 403, 408, 413, 415, 421, 422, 500, 503),
}


def classify_router(
    analyzer: Analyzer, settings: Settings, pool: Pool, metrics: Metrics, bodies: BodyReader
) -> APIRouter:
    """The route, served by the analyzer in the pool's threads."""
    router = APIRouter()

    @router.post(
        "/v1/classify",
        summary="The emotions of the faces in boxes of your own",
        response_class=Response,
        responses=_RESPONSES,
        openapi_extra=_BODY,
        tags=["pictures"],
    )
    async def classify(
        request: Request,
        crop: Annotated[
            Literal["face", "detector"],
            Query(description="face: boxes reach from above the eyebrows to the chin; detector: as /v1/predict's do."),
        ] = "face",
    ) -> Response:
        """Give a form with a picture and the boxes of its faces, or JSON with both. Without boxes the whole picture is
        a face, and it may be the body too.
        """
        rule = WHOLE_PICTURE if crop == "face" else analyzer.detector.crop_rule
        with refusals(pool, metrics):
            pool.check()  # before a body is read that cannot be processed
            async with bodies.given(request) as given:
                if len(given.uploads) > 1:
                    raise Problem(400, f"expected one picture, got {len(given.uploads)}")
                boxes = _boxes(given, MAX_AREA * settings.max_pixels)
                work = partial(_record, analyzer, given.uploads[0], boxes, rule)
                record = await while_there(request, Event(), pool.submit(work))
        metrics.pictures.inc()
        metrics.faces.inc(len(record["faces"]))
        return JSONResponse(record)

    return router


def _record(analyzer: Analyzer, upload: Upload, boxes: list[Box] | None, rule: CropRule) -> PictureRecord:
    try:
        analysis = analyzer.analyze_boxes(upload.content, boxes, rule=rule)
    except ConfigError as error:  # a box outside the picture
        raise Problem(422, str(error)) from None
    return {**analysis.to_dict(), "source": upload.name}


def _boxes(given: Given, max_area: float) -> list[Box] | None:
    """The boxes beside the picture; None where there are none. Raises Problem on what is no box, and on too much."""
    if not given.fields and given.boxes is None:
        return None
    names = [name for name, _ in given.fields]
    if given.boxes is None and names != [BOXES]:
        raise Problem(400, f"expected one field, {BOXES}, besides the picture, got {', '.join(names)[:200]!a}")
    try:
        places = _ADAPTER.validate_json(given.fields[0][1]) if names else _ADAPTER.validate_python(given.boxes)
    except ValidationError as error:
        raise Problem(400, _complaint(error)) from None
    boxes = [Box(*box) if isinstance(box, tuple) else Box(**box.model_dump()) for box in places]
    if (area := sum(box.height**2 for box in boxes)) > max_area:
        raise Problem(400, f"{BOXES}: their heights squared are {area:,.0f} together, at most {max_area:,.0f}")
    return boxes


def _complaint(error: ValidationError) -> str:
    """What is wrong, without a word of what came: a line of pydantic's holds its own names."""
    where = error.errors(include_url=False, include_input=False)[0]["loc"]
    if where:
        return f"{BOXES}: number {int(where[0]) + 1} is not [x, y, width, height], in pixels, each side of 1 or more"
    return f"{BOXES}: expected JSON, a list of 1 to {MAX_BOXES} boxes [x, y, width, height]"

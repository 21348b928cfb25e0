"""YuNet's file out of an older one that is easier to have. Builds import this, so it needs the standard library only.

The OpenCV zoo has the same network in two files. That of March 2023 says that pictures are of 640x640 and how large
each value within is then; that of May 2026, which Mien takes, names the sides and says nothing of what is within. Nodes
and weights are equal. So one is made from the other by editing the ONNX file, a protobuf message
(https://protobuf.dev/programming-guides/encoding), without a library for either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from mien.runtime import weights
from mien.runtime.download import place

# Numbers of fields in onnx.proto.
_GRAPH: Final = (7,)  # ModelProto.graph
_VALUE_INFO: Final = (13,)  # GraphProto.value_info
_SHAPE: Final = (2, 1, 2)  # ValueInfoProto.type, TypeProto.tensor_type, TypeProto.Tensor.shape
_INPUT_SHAPE: Final = (11, *_SHAPE)  # GraphProto.input
_OUTPUT_SHAPE: Final = (12, *_SHAPE)  # GraphProto.output
_DIMENSION: Final = (1,)  # TensorShapeProto.dim
_NAME: Final = 2  # TensorShapeProto.Dimension.dim_param

# What the three lower bits of a field's tag say of its value; the kinds of fixed size have 8 and 4 bytes.
_VARINT: Final = 0
_BYTES: Final = 2
_FIXED: Final = {1: 8, 5: 4}


def place_yunet(source: Path, destination: Path) -> Path:
    """Put YuNet's file at destination: `source` itself, or what is made from the OpenCV zoo's file of March 2023.

    It is verified, and written whole or not at all. Returns destination. Raises DetectorError where `source` cannot be
    read or is neither, or where destination cannot be written.
    """
    return place(source, weights.YUNET.sha256, destination, convert=_converted)


def of_any_size(model: bytes) -> bytes:
    """The zoo's file of May 2026 from that of March 2023.

    Names the sides of the pictures and the number of places in each output, and drops the sizes of what is within.
    Raises ValueError where the bytes are no protobuf message with such fields.
    """
    return _edited(model, _GRAPH, _graph_of_any_size)


def _converted(content: bytes) -> bytes:
    """What is verified in place of a file that is not YuNet's: what it gives, or itself, so that its hash is named."""
    try:
        return of_any_size(content)
    except ValueError:
        return content


def _graph_of_any_size(graph: bytes) -> bytes:
    graph = _edited(graph, _VALUE_INFO, lambda _: None)
    graph = _edited(graph, _INPUT_SHAPE, partial(_named, names={2: "height", 3: "width"}))
    return _edited(graph, _OUTPUT_SHAPE, partial(_named, names={1: "anchors"}))


def _named(shape: bytes, names: Mapping[int, str]) -> bytes:
    """The shape, where these dimensions, counted from 0, have names in place of lengths."""
    places = count()

    def dimension(fixed: bytes) -> bytes:
        name = names.get(next(places))
        return fixed if name is None else _field(_NAME, name.encode())

    return _edited(shape, _DIMENSION, dimension)


def _edited(message: bytes, path: tuple[int, ...], change: Callable[[bytes], bytes | None]) -> bytes:
    """The message with each value at this path of field numbers changed, or left out where `change` gives None.

    Raises ValueError where it is no whole message.
    """
    parts = []
    for number, field, value in _fields(message):
        if number != path[0] or value is None:
            parts.append(field)
            continue
        changed = change(value) if len(path) == 1 else _edited(value, path[1:], change)
        if changed is not None:
            parts.append(_field(number, changed))
    return b"".join(parts)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes | None]]:
    """Each field's number, its bytes, and its value if that is bytes too, as of strings and messages; else None.

    Raises ValueError where a field is of no known kind, or the message ends within one.
    """
    at = 0
    while at < len(message):
        start = at
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            _, end = _varint(message, at)
        elif kind == _BYTES:
            length, at = _varint(message, at)
            end = at + length
        elif kind in _FIXED:
            end = at + _FIXED[kind]
        else:
            raise ValueError(f"expected a protobuf message, got a field of kind {kind} at byte {start}")
        if end > len(message):
            raise ValueError(f"expected a whole protobuf message, it ends within the field at byte {start}")
        yield tag >> 3, message[start:end], message[at:end] if kind == _BYTES else None
        at = end


def _field(number: int, value: bytes) -> bytes:
    """A field of bytes: its tag, the length, the bytes."""
    return _encoded(number << 3 | _BYTES) + _encoded(len(value)) + value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends. All bytes but its last are above 127."""
    number = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
    raise ValueError(f"expected a protobuf message, got no whole number before byte {at}")


def _encoded(number: int) -> bytes:
    """The number as `_varint` reads it, in the fewest bytes."""
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])

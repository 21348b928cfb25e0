"""A page of the service with the engine's module in it, and how arrays travel to it and back."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Bytes travel as base64, float32 as its bytes. Functions passed to `Tab.run` have these as globals.
PREPARE = """async () => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const text = (array) => {
    let letters = "";
    for (const byte of new Uint8Array(array.buffer, array.byteOffset, array.byteLength)) {
      letters += String.fromCharCode(byte);
    }
    return btoa(letters);
  };
  const grey = ({ data, shape: [height, width] }) => ({ data: bytes(data), width, height });
  const rgba = (picture) => {
    const [from, to] = [bytes(picture.data), new Uint8ClampedArray(picture.shape[0] * picture.shape[1] * 4).fill(255)];
    for (let i = 0; i < from.length; i += 1) to[Math.floor(i / 3) * 4 + 2 - (i % 3)] = from[i];
    return { data: to, width: picture.shape[1], height: picture.shape[0] };
  };
  const bgr = ({ data }) => Uint8Array.from({ length: (data.length / 4) * 3 },
    (_, i) => data[Math.floor(i / 3) * 4 + 2 - (i % 3)]);
  const floats = ({ data }) => new Float32Array(bytes(data).buffer);
  const bitmap = ({ png }) => createImageBitmap(new Blob([bytes(png)]));
  const config = await (await fetch("page.json")).json();
  const failure = (promise) => promise.then(() => "no failure", (error) => `${error.name}: ${error.message}`);
  Object.assign(globalThis, { bytes, text, grey, rgba, bgr, floats, bitmap, config, failure });
  Object.assign(globalThis, await import("./assets/engine.js"));
}"""


class Tab:
    """A page of the service with the engine's module in it, its requests, and its console messages and errors."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.requests: list[str] = []
        self.messages: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("console", lambda message: self.messages.append(message.text))
        result = page.goto(address)
        self.policy = result.headers.get("content-security-policy", "") if result else ""
        page.evaluate(PREPARE)

    def run(self, function: str, argument: object = None) -> Any:
        """What an (async) arrow function in JavaScript gives for an argument."""
        return self.page.evaluate(function, argument)


def packed(array: NDArray[Any]) -> dict[str, object]:
    return {"data": base64.b64encode(array.tobytes()).decode(), "shape": array.shape}


def png(image: NDArray[np.uint8]) -> dict[str, str]:
    return {"png": base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()}


def unpacked(text: str, kind: type[np.generic], *shape: int) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), kind).reshape(shape)


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return values

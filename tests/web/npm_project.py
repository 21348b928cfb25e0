"""The npm package, built, packed, and installed into a project that was empty."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "web" / "node_modules"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
NODE, NPM = shutil.which("node", path=PATH), shutil.which("npm", path=PATH)
NAME = "mien-faces"

# A task is a JSON file: pictures as files of RGBA bytes with their sizes, and what to do with them.
RUN = """
import { readFile } from "node:fs/promises";
import { load } from "mien-faces";

const tasks = JSON.parse(await readFile(process.argv[2], "utf8"));
const failure = (error) => ({ failure: `${error.name}: ${error.message}` });
for (const { options, pictures, each } of tasks) {
  const results = await load(options).then(async (analyzer) => {
    const records = [];
    for (const { file, width, height } of pictures) {
      records.push(await analyzer.analyze({ data: await readFile(file), width, height }, each).catch(failure));
    }
    return records;
  }, failure);
  console.log(JSON.stringify(results));
}
"""


def snippet(language: str) -> str:
    """The first example in a language of the package's README."""
    text = (ROOT / "web" / "package" / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"```{language}\n(import.*?|<.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


class Project:
    """A project with the package in it."""

    def __init__(self, folder: Path, tarball: Path) -> None:
        self.folder, self.tarball = folder, tarball
        (folder / "package.json").write_text(json.dumps({"name": "empty", "private": True, "type": "module"}))
        self.run(str(NPM), "install", "--offline", "--no-audit", "--no-fund", str(tarball))
        self.installed = sorted(path.name for path in (folder / "node_modules").iterdir() if path.is_dir())
        (folder / "run.js").write_text(RUN)

    @property
    def package(self) -> Path:
        return self.folder / "node_modules" / NAME

    def run(self, *command: str) -> str:
        """The standard output of a command in the project. Raises AssertionError where it fails."""
        about = {"cwd": self.folder, "env": {**os.environ, "PATH": PATH}}
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240, **about)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def script(self, name: str, *arguments: str) -> str:
        """The output of a script of web/node_modules, which the project itself lacks."""
        return self.run(str(NODE), str(MODULES / name), *arguments)

    def analyzed(self, *tasks: dict[str, Any]) -> list[Any]:
        """What Node.js gives for tasks: options of `load`, pictures (BGR or BGRA), options of each `analyze`."""
        written = [{**task, "pictures": [self._write(image) for image in task["pictures"]]} for task in tasks]
        (self.folder / "tasks.json").write_text(json.dumps(written))
        return [json.loads(line) for line in self.run(str(NODE), "run.js", "tasks.json").splitlines()]

    def _write(self, image: NDArray[np.uint8]) -> dict[str, object]:
        height, width = image.shape[:2]
        alpha = image[..., 3:] if image.shape[2] == 4 else np.full((height, width, 1), 255, np.uint8)
        path = self.folder / f"{len(list(self.folder.glob('*.rgba')))}.rgba"
        path.write_bytes(np.concatenate([image[..., 2::-1], alpha], axis=2).tobytes())
        return {"file": path.name, "width": width, "height": height}

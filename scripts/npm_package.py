"""Build the npm package of the page's engine (web/package), and pack it.

    python scripts/npm_package.py [FOLDER]

writes FOLDER/mien-faces-VERSION.tgz, in dist by default. It needs web/node_modules and Node.js, which `make npm`
installs. In the package are the model that ships and YuNet, the settings of `mien.load`, and the wasm that runs them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import mien
from mien.runtime.weights import find_yunet
from mien.service.page_config import EngineFiles, as_json, page_config
from mien.service.site import engine_licenses

ROOT: Final = Path(__file__).resolve().parent.parent
WEB: Final = ROOT / "web"
ENGINE: Final[EngineFiles] = {"model": "model.onnx", "detector": "yunet.onnx"}
RUNTIME: Final = WEB / "node_modules" / "onnxruntime-web" / "dist"
"""Two files of these lie in the package. All of onnxruntime-web takes 139 MB."""


def build(package: Path) -> None:
    """Write all files of the package to a folder that is there."""
    yunet = find_yunet()
    if yunet is None:
        sys.exit("YuNet is not installed: `make vendor` puts it into the package")
    analyzer = mien.load(detector="yunet")
    shutil.copyfile(analyzer.model_path, package / "model.onnx")
    shutil.copyfile(yunet, package / "yunet.onnx")
    shutil.copyfile(RUNTIME / "ort-wasm-simd-threaded.wasm", package / "ort-wasm-simd-threaded.wasm")
    script = (RUNTIME / "ort.wasm.bundle.min.mjs").read_text(encoding="utf-8")
    # Without the name of a source map that is not in the package, which bundlers would look for.
    script = script[: script.rindex("\n//# sourceMappingURL=")] + "\n"
    (package / "ort.wasm.bundle.min.mjs").write_text(script, encoding="utf-8", newline="\n")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(as_json(page_config(analyzer, ENGINE, None))), encoding="utf-8")
        settings = {"MIEN_CONFIG": str(config), "MIEN_OUT": str(package)}
        _node("rolldown/bin/cli.mjs", "-c", "package/rolldown.config.ts", "--log-level", "warn", **settings)
        _node("typescript/bin/tsc", "-p", "package", "--outDir", folder)
        types = Path(folder, "package", "src", "api.d.ts").read_text(encoding="utf-8")
        (package / "index.d.ts").write_text(types.replace("../../src/record.ts", "./record.js"), encoding="utf-8")
        shutil.copyfile(Path(folder, "src", "record.d.ts"), package / "record.d.ts")
    about = json.loads((WEB / "package" / "package.json").read_text(encoding="utf-8"))
    about["version"] = mien.__version__
    (package / "package.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(WEB / "package" / "README.md", package / "README.md")
    shutil.copyfile(ROOT / "LICENSE", package / "LICENSE")
    (package / "LICENSES.txt").write_text("\n".join(engine_licenses()), encoding="utf-8")


def _node(script: str, *arguments: str, **variables: str) -> None:
    """Run a script of web/node_modules in web."""
    command = [_found("node"), str(WEB / "node_modules" / script), *arguments]
    subprocess.run(command, cwd=WEB, env={**os.environ, **variables}, check=True)


def _found(program: str) -> str:
    """The program that pip installed beside this Python, else the one on the PATH."""
    beside = Path(sys.executable).parent
    path = shutil.which(program, path=os.pathsep.join([str(beside), os.environ.get("PATH", "")]))
    if path is None:
        sys.exit(f"there is no {program} here: `make npm` installs it")
    return path


def main() -> None:
    """Build and pack."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        command = [_found("npm"), "pack", "--silent", "--pack-destination", str(out)]
        packed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    print(f"wrote {out / packed}: {(out / packed).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

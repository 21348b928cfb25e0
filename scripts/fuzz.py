"""Search for inputs that crash Mien, guided by coverage (atheris, libFuzzer).

    python scripts/fuzz.py records --seconds 120
    python scripts/fuzz.py all --seconds 120      # each target in turn
    python scripts/fuzz.py picture crash-1234     # run one input again

The targets are in tests/fuzz; each begins with its seeds. A crash is anything that is raised and is no MienError, an
input that takes 20 seconds, or 2 GB of memory. Its bytes are written to build/fuzz/TARGET. Needs the group `fuzz` of
pyproject.toml and the extras [serve,tables,video,annotate,train].
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_S, MEMORY_MB, LONGEST = 20, 2048, 65_536
INSTRUMENTED = ("mien", "PIL", "python_multipart", "zipfile", "tarfile", "csv", "numpy.lib.format")


def main() -> int:
    """Fuzz, or run one input; exits with 1 where a target crashed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="a name in tests/fuzz/targets.py, or all")
    parser.add_argument("input", nargs="?", type=Path, help="a file to run, once, in place of fuzzing")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fuzz")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if arguments.target == "all":
        return _each(arguments.seconds, arguments.out)
    out = arguments.out / arguments.target
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        _fuzz(arguments.target, arguments.input, arguments.seconds, out, Path(folder))
    return 0


def _each(seconds: int, out: Path) -> int:
    """Fuzz the targets one after the other, each in a process of its own: libFuzzer ends it."""
    failed = []
    for name in import_module("tests.fuzz.targets").TARGETS:
        command = [sys.executable, __file__, name, "--seconds", str(seconds), "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        ran = re.search(r"Done (\d+) runs in (\d+) second", done.stderr)
        words = f"{int(ran[1]):,} inputs in {ran[2]} s" if ran and not done.returncode else f"exit {done.returncode}"
        print(f"{name}: {words}", flush=True)
        if done.returncode:
            failed.append(name)
            (out / name / "stderr.txt").write_text(done.stderr, encoding="utf-8")
    print(f"crashed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


def _fuzz(name: str, one: Path | None, seconds: int, out: Path, folder: Path) -> None:
    import atheris

    for place in ("corpus", "work"):
        (folder / place).mkdir()
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        target = import_module("tests.fuzz.targets").TARGETS[name]
        seeds = target.seeds()
        context: Any = target.open(folder / "work")
        run = context.__enter__()
        for number, seed in enumerate(seeds):  # also imports what is imported late
            run(seed)
            (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    flags = [f"-max_total_time={seconds}", f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MB}", "-detect_leaks=0"]
    flags += [f"-max_len={LONGEST}", f"-artifact_prefix={out}/", "-print_final_stats=1"]
    atheris.Setup([__file__, *flags, str(one or folder / "corpus")], run)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())

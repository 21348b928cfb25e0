"""Change one token of a module at a time, and see whether its tests fail: how many such mutants are killed.

    pip install -e '.[train,serve,video,tables,annotate]' --group dev --group mutants
    python scripts/mutants.py --each 25 --seed 0

Of the mutants that cosmic-ray's operators make (numbers, comparisons, operators, booleans, exceptions, loops,
decorators), `--each` are drawn for each module. Annotations are left out: they are never evaluated. A survivor is a
change that no test notices; some are equal to the original, so 100 % cannot be reached. Each mutant lives in a copy of
`src`; the tree stays as it is.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parent.parent
MODULES = {
    "emotions.py": ["test_emotions.py", "data"],
    "records.py": ["test_records.py", "test_analysis.py", "test_public_api.py", "reports"],
    "runtime/crops.py": ["runtime/test_crops.py", "runtime/test_detectors.py", "runtime/golden", "test_analyzer.py"],
    "runtime/turning.py": ["runtime", "test_any_size.py"],
    "tracking/appearance.py": ["tracking"],
    "tracking/assignment.py": ["tracking"],
    "tracking/joining.py": ["tracking", "test_stream.py"],
    "tracking/optical_flow.py": ["tracking"],
    "tracking/smoothing.py": ["tracking", "test_stream.py"],
    "tracking/tracker.py": ["tracking", "test_stream.py"],
    "tracking/tracked_face.py": ["tracking", "test_stream.py"],
    "evaluation/calibration.py": ["evaluation"],
    "evaluation/conditions.py": ["evaluation"],
    "evaluation/intervals.py": ["evaluation"],
    "evaluation/metrics.py": ["evaluation"],
    "evaluation/mistakes.py": ["evaluation"],
    "evaluation/selective.py": ["evaluation"],
}
"""Each module below src/mien, and the tests below tests/ that should notice."""
LONGEST_S = 300


@dataclass(frozen=True)
class Mutant:
    """One change of one module, at this line and column (from 1 and 0)."""

    module: str
    operator: str
    occurrence: int
    line: int
    column: int


def mutants(module: str) -> Iterator[Mutant]:
    """All mutants of a module, but for those in annotations."""
    code = (ROOT / "src/mien" / module).read_text(encoding="utf-8")
    left_out = list(spans_of_annotations(code))
    tree = get_ast(code)
    for name in operator_names():
        kind = get_operator(name)
        if kind.arguments():
            continue
        operator = kind()
        places = (place for node in ast_nodes(tree) for place in operator.mutation_positions(node))
        for occurrence, ((line, column), _) in enumerate(places):
            if not any(start <= (line, column) < stop for start, stop in left_out):
                yield Mutant(module, name, occurrence, line, column)


def spans_of_annotations(code: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where the annotations of a module begin and end, as lines and columns."""
    for node in ast.walk(ast.parse(code)):
        for field in ("annotation", "returns"):
            part = getattr(node, field, None)
            if isinstance(part, ast.expr):
                yield (part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)


def draw(module: str, number: int, seed: int) -> list[Mutant]:
    """So many mutants of a module, or all; those that are no Python (a bare `*` taken for a product) are left out."""
    every = list(mutants(module))
    random.Random(f"{seed} {module}").shuffle(every)
    return list(islice(filter(compiles, every), number))


def compiles(mutant: Mutant) -> bool:
    """Whether it is Python."""
    try:
        ast.parse(mutated(mutant))
    except SyntaxError:
        return False
    return True


def mutated(mutant: Mutant) -> str:
    """The module's text with the change."""
    code = (ROOT / "src/mien" / mutant.module).read_text(encoding="utf-8")
    changed = mutate_code(code, get_operator(mutant.operator)(), mutant.occurrence)
    assert changed not in (None, code), mutant
    return str(changed)


def survives(mutant: Mutant, copy: Path) -> bool:
    """Whether the module's tests pass with the mutant; `copy` is a copy of src."""
    path = copy / "mien" / mutant.module
    code = path.read_text(encoding="utf-8")
    path.write_text(mutated(mutant), encoding="utf-8")
    tests = [str(ROOT / "tests" / name) for name in MODULES[mutant.module]]
    command = [sys.executable, "-m", "pytest", "-x", "-n0", "-m", "not slow", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, timeout=LONGEST_S, check=False, text=True
        )
    except subprocess.TimeoutExpired:
        return False  # a loop without end is noticed
    finally:
        path.write_text(code, encoding="utf-8")
    if done.returncode not in (0, 1, 2, 4):  # passed, failed, could not be collected or configured
        raise SystemExit(f"{mutant}: pytest ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.returncode == 0


def line_of(mutant: Mutant) -> str:
    """The line that it changes."""
    return (ROOT / "src/mien" / mutant.module).read_text(encoding="utf-8").splitlines()[mutant.line - 1].strip()


def main() -> None:
    """Draw mutants, run the tests with each, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=25, help="mutants of a module, at most [25]")
    parser.add_argument("--seed", type=int, default=0, help="by which they are drawn [0]")
    parser.add_argument("--jobs", type=int, default=2, help="processes [2]")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="of src/mien; all by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(given.jobs):
            copies.put(Path(shutil.copytree(ROOT / "src", Path(folder, str(number)))))

        def run(mutant: Mutant) -> bool:
            copy = copies.get()
            try:
                return survives(mutant, copy)
            finally:
                copies.put(copy)

        killed = total = 0
        print("| module | drawn | killed |\n| --- | --- | --- |")
        survivors = []
        for module in given.modules or MODULES:
            drawn = draw(module, given.each, given.seed)
            outcomes = list(pool.map(run, drawn))
            survivors += [mutant for mutant, alive in zip(drawn, outcomes, strict=True) if alive]
            killed, total = killed + outcomes.count(False), total + len(drawn)
            print(f"| `{module}` | {len(drawn)} | {outcomes.count(False)} |", flush=True)
        print(f"\n{killed} of {total} killed ({killed / total:.1%}). Survivors:")
        for one in survivors:
            print(f"{one.module}:{one.line}:{one.column}: {one.operator.removeprefix('core/')}: {line_of(one)}")


if __name__ == "__main__":
    main()

"""Each fuzz target takes its seeds and what comes of them by simple damage. `scripts/fuzz.py` searches for more."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .targets import TARGETS

_DAMAGED = 20


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_mien_errors(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    for module in target.needs:
        pytest.importorskip(module)
    chance, seeds = random.Random(name), target.seeds()
    with target.open(tmp_path) as run:
        for data in [b"", *seeds, *(damaged(chance.choice(seeds), chance) for _ in range(_DAMAGED))]:
            run(data)


def damaged(seed: bytes, chance: random.Random) -> bytes:
    """The seed with a byte changed, a part left out or doubled, or its end cut off."""
    at, length = chance.randrange(len(seed)), chance.randrange(1, 9)
    return chance.choice(
        (
            seed[:at],
            seed[:at] + bytes([chance.randrange(256)]) + seed[at + 1 :],
            seed[:at] + seed[at + length :],
            seed[: at + length] + seed[at:],
        )
    )

from __future__ import annotations

import pytest

from mien.cli.console import as_options


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("name its file: `detector_model=FILE`", "name its file: --detector-model FILE"),
        ("(`skip_bad=True` goes on without such rows)", "(--skip-bad goes on without such rows)"),
        (
            "`network.filters=1,2` `network.width=1` would fit",
            "--set network.filters=1,2 --set network.width=1 would fit",
        ),
        ("run `mien detector yunet` once", "run `mien detector yunet` once"),
    ],
)
def test_arguments_in_a_message_become_options(text: str, shown: str) -> None:
    assert as_options(text) == shown

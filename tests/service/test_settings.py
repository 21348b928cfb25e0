from __future__ import annotations

from pathlib import Path

import pytest

from mien.errors import ConfigError
from mien.service.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_this_computer_needs_no_key(host: str) -> None:
    assert Settings(host=host).is_local


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_a_wider_bind_asks_for_a_key_or_a_word(host: str) -> None:
    with pytest.raises(ConfigError, match=r"reached from other computers: give `api_key=KEY` .* or `insecure=True`"):
        Settings(host=host)
    assert not Settings(host=host, api_keys=("long-enough",)).is_local
    assert not Settings(host=host, insecure=True).is_local


@pytest.mark.parametrize("key", ["", "short", "with a space", "schlüssel-lang"])
def test_keys_that_a_header_cannot_carry_or_that_are_guessed_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="expected API keys"):
        Settings(api_keys=(key,))


def test_keys_stay_out_of_what_is_printed() -> None:
    assert "secret-key" not in repr(Settings(api_keys=("secret-key",)))


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0},
        {"queue": -1},
        {"port": 70_000},
        {"max_body": 0},
        {"max_buffered": 10},
        {"body_seconds": 0},
        {"idle_seconds": float("nan")},
        {"root_path": "mien"},
        {"root_path": "/mien/"},
        {"root_path": "/mïen"},
        {"root_path": "/mien\n"},
        {"origins": ("https://example.org/",)},
        {"origins": ("example.org",)},
        {"origins": ("https://Example.org",)},
        {"hosts": ("http://example.org",)},
        {"hosts": ("example.org:8000",)},
        {"hosts": ("",)},
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    word = {"hosts": "names"}.get(next(iter(options)), next(iter(options)))
    with pytest.raises(ConfigError, match=word):
        Settings(**options)


def test_what_makes_sense_is_taken() -> None:
    Settings(
        root_path="/a/b-c.d~e",
        origins=("https://example.org", "http://10.0.0.1:8000", "http://[::1]:80"),
        hosts=("my-computer.local", "Example.org", "[::1]"),
    )


def test_tls_takes_both_files(tmp_path: Path) -> None:
    cert = tmp_path / "cert.pem"
    cert.write_text("x")
    with pytest.raises(ConfigError, match="both a certificate and its key"):
        Settings(tls_cert=cert)
    with pytest.raises(ConfigError, match="no such file"):
        Settings(tls_cert=cert, tls_key=tmp_path / "key.pem")
    assert Settings(tls_cert=cert, tls_key=cert).scheme == "https"

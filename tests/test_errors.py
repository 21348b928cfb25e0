from __future__ import annotations

import inspect
import pickle

import pytest

import mien
from mien import errors
from mien.errors import reason


def test_every_error_is_a_mien_error() -> None:
    classes = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)]
    assert len(classes) == 10
    assert all(issubclass(each, errors.MienError) for each in classes)
    assert issubclass(errors.MissingExtraError, errors.ConfigError)
    assert issubclass(errors.ImageFormatError, errors.ImageError)
    assert issubclass(errors.ImageTooLargeError, errors.ImageError)


def test_the_tree_in_the_docstring_names_them_all() -> None:
    for name, value in inspect.getmembers(errors, inspect.isclass):
        if issubclass(value, Exception):
            assert name in (errors.__doc__ or "")


def test_a_missing_extra_answers_with_its_command() -> None:
    error = errors.MissingExtraError("a pandas table", "tables")
    assert str(error) == "a pandas table needs an optional part of Mien: pip install 'mien[tables]'"
    assert error.extra == "tables"


def test_a_message_is_one_line_whatever_names_it_holds() -> None:
    error = mien.ImageError(f"a\nb\udcff.jpg: no such file, {'x' * 5000}/end is long")
    assert str(error).startswith(r"a\nb\udcff.jpg: no such file, xxx")
    assert str(error).endswith("xxx/end is long")
    assert len(str(error)) < 400
    assert str(error).isprintable()


def test_the_reason_is_the_systems_the_errors_or_its_type() -> None:
    assert reason(FileNotFoundError(2, "No such file or directory", "x")) == "No such file or directory"
    assert reason(ValueError("one\n  two")) == "one two"
    assert reason(KeyboardInterrupt()) == "KeyboardInterrupt"


@pytest.mark.parametrize(
    "error", [mien.MissingExtraError("a table", "tables"), mien.ImageTooLargeError("x: too large")]
)
def test_errors_come_back_from_another_process(error: mien.MienError) -> None:
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied)) == (type(error), str(error))
    assert vars(copied) == vars(error)

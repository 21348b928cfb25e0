from __future__ import annotations

import inspect

from mien import errors


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

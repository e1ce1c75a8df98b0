"""Warnings as lines: their text, and that the state of `warnings` is restored on leaving."""

from __future__ import annotations

import warnings

import pytest

from pet_driver.cli import main
from pet_driver.errors import PetDriverError
from pet_driver.runtime.warning_lines import warnings_as_lines


def test_each_warning_is_one_line() -> None:
    lines: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with warnings_as_lines(lines.append):
            warnings.warn("two\n  lines", stacklevel=1)
            warnings.warn("one line", DeprecationWarning, stacklevel=1)
    assert lines == ["two lines", "one line"]


def test_filters_apply() -> None:
    lines: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with warnings_as_lines(lines.append):
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        warnings.simplefilter("error")
        with warnings_as_lines(lines.append), pytest.raises(UserWarning, match="an error"):
            warnings.warn("an error", stacklevel=1)
    assert lines == []


def test_the_former_state_returns() -> None:
    shown, filters = warnings.showwarning, list(warnings.filters)

    def fail() -> None:
        with warnings_as_lines(print):
            warnings.simplefilter("error")
            assert warnings.showwarning is not shown
            raise PetDriverError("a mistake")

    with pytest.raises(PetDriverError):
        fail()
    assert warnings.showwarning is shown
    assert warnings.filters == filters


def test_inner_context_comes_first() -> None:
    inner: list[str] = []
    outer: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with warnings_as_lines(outer.append):
            with warnings_as_lines(inner.append):
                warnings.warn("first", stacklevel=1)
            warnings.warn("second", stacklevel=1)
    assert (inner, outer) == (["first"], ["second"])


@pytest.mark.parametrize("leaves", [0, PetDriverError("a mistake"), KeyboardInterrupt()])
def test_the_command_restores(
    leaves: int | BaseException,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(_: object) -> int:
        warnings.warn("the model\nis small", stacklevel=1)
        if isinstance(leaves, BaseException):
            raise leaves
        return leaves

    shown = warnings.showwarning
    monkeypatch.setattr(main.info, "run", run)
    code = main.main(["info"])
    assert warnings.showwarning is shown
    assert "pet-driver: warning: the model is small\n" in capsys.readouterr().err
    assert code == (0 if leaves == 0 else 2 if isinstance(leaves, PetDriverError) else 130)

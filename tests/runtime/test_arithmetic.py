"""Settings of torch that hold during an evaluation only, whatever the program has set."""

from __future__ import annotations

import threading

import pytest
import torch

from pet_driver.evaluation.potential import Potential
from pet_driver.runtime.arithmetic import Arithmetic

MATMUL = torch.backends.cuda.matmul
FULL = Arithmetic.chosen("cuda", "float32", "full", False)
TF32 = Arithmetic.chosen("cuda", "float32", "tf32", False)
BOTH = Arithmetic.chosen("cuda", "float32", "tf32", True)

newer_interface = pytest.mark.skipif(
    not hasattr(MATMUL, "fp32_precision"), reason="this torch has one interface to TF32 only"
)


def is_on():
    """Whether products of float32 matrices use TF32 now."""
    return getattr(MATMUL, "fp32_precision", None) == "tf32" or (
        not hasattr(MATMUL, "fp32_precision") and MATMUL.allow_tf32
    )


@pytest.fixture
def program():
    """Sets TF32 as a program does; what was before comes back."""

    def put(name, value):
        setattr(MATMUL, name, value)

    yield put
    if hasattr(MATMUL, "fp32_precision"):
        MATMUL.fp32_precision = "none"
    MATMUL.allow_tf32 = False


@newer_interface
@pytest.mark.parametrize("value", ["tf32", "ieee"])
def test_programs_that_use_the_newer_interface(program, value, checkpoint, molecule):
    """torch answers through one interface only, once the other was used."""
    expected = Potential(checkpoint).compute(molecule).energy
    program("fp32_precision", value)
    assert Potential(checkpoint).compute(molecule).energy == expected
    for settings, inside in ((FULL, ("ieee", "none")), (TF32, ("tf32",))):
        with settings.context():
            assert MATMUL.fp32_precision in inside
        assert MATMUL.fp32_precision == value


@newer_interface
@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("value", ["highest", "high", "medium"])
def test_the_setting_of_the_program_comes_back(value):
    torch.set_float32_matmul_precision(value)
    for settings in (FULL, TF32):
        with settings.context():
            assert (MATMUL.fp32_precision == "tf32") == (settings is TF32)
        assert torch.get_float32_matmul_precision() == value
    torch.set_float32_matmul_precision("highest")


@newer_interface
@pytest.mark.usefixtures("program")
def test_a_setting_for_all_devices_is_followed():
    torch.backends.fp32_precision = "tf32"
    try:
        for settings in (FULL, TF32):
            with settings.context():
                assert (MATMUL.fp32_precision == "tf32") == (settings is TF32)
        torch.backends.fp32_precision = "ieee"
        assert MATMUL.fp32_precision == "ieee"
    finally:
        torch.backends.fp32_precision = "none"


@pytest.mark.parametrize("value", [True, False])
def test_full_precision_is_full(program, value):
    """Also where the program has turned TF32 on."""
    program("allow_tf32", value)
    with FULL.context():
        assert not is_on()
        with TF32.context():
            assert is_on()
        assert not is_on()
    assert MATMUL.allow_tf32 == value


def test_on_a_cpu_nothing_is_set():
    assert Arithmetic.chosen("cpu", "float32", "full", True) == Arithmetic()


def test_reproducible_sums():
    with BOTH.context():
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_threads_with_the_same_settings_go_on_together():
    """The settings of before come back when the last of them ends."""
    inside, leave = threading.Event(), threading.Event()

    def other():
        with BOTH.context():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with BOTH.context():
        thread.start()
        assert inside.wait(10)
    assert is_on()
    assert torch.are_deterministic_algorithms_enabled()
    leave.set()
    thread.join(10)
    assert not MATMUL.allow_tf32
    assert not torch.are_deterministic_algorithms_enabled()


def test_threads_with_other_settings_wait():
    found, entered = [], threading.Event()

    def other():
        with FULL.context():
            found.append(is_on())
            entered.set()

    thread = threading.Thread(target=other)
    with TF32.context():
        thread.start()
        assert not entered.wait(0.1)
        assert is_on()
    assert entered.wait(10)
    thread.join(10)
    assert found == [False]

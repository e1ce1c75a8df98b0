"""What of an installation works, and how fast the machine is: for `doctor` and `bench`."""

from .finding import Finding
from .machine import describe_machine
from .software import describe_software
from .speed import describe_speed
from .step_time import peak_memory, step_times

__all__ = [
    "Finding",
    "describe_machine",
    "describe_software",
    "describe_speed",
    "peak_memory",
    "step_times",
]

"""What of an installation works, and how fast the machine is: for `pet-driver doctor`."""

from .finding import Finding
from .machine import describe_machine
from .software import describe_software
from .speed import describe_speed

__all__ = ["Finding", "describe_machine", "describe_software", "describe_speed"]

"""What a user is told when something is wrong: one sentence with the offending value and the
remedy.
"""

from __future__ import annotations


class PetDriverError(Exception):
    """A mistake in the input or a limit of the model; the message is meant for the user. Exit code
    2.
    """

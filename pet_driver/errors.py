"""The exception for mistakes of input: one sentence with the offending value and the remedy."""

from __future__ import annotations


class PetDriverError(Exception):
    """A mistake in the input, or a limit of the model.

    The message is written for the user. Commands print it without a traceback and end with exit
    code 2.
    """

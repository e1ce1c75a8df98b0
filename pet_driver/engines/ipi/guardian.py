"""A small process that holds a driver's socket with it, and closes it in good order if the driver
is killed.

A process that dies with a message unread makes the kernel answer the other side with a reset, which
i-PI 3.3 does not survive: it waits for ever. With the guardian the socket lives on for the moment
that it takes to read what is left; then i-PI sees an orderly end, and hands the work to another
driver.

Run as a script, by path, so that it imports nothing of ours: python -S ipi_guardian.py SOCKET PIPE
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys


class Guardian:
    """Watches over a connected socket until `dismiss`, or until this process dies."""

    def __init__(self, stream: socket.socket) -> None:
        watched, self._alive = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-E", __file__, str(stream.fileno()), str(watched)],
                pass_fds=(stream.fileno(), watched),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # what ends the driver must not end it too
            )
        finally:
            os.close(watched)

    def dismiss(self) -> None:
        """It closes its end of the socket and leaves."""
        os.close(self._alive)
        self._process.wait()


def watch(stream: socket.socket, pipe: int) -> None:
    """Until the other end of the pipe is closed; then read what is left and close."""
    os.read(pipe, 1)
    stream.setblocking(False)
    # An error means that nothing more is there, or that the other side is gone already.
    with contextlib.suppress(OSError):
        while stream.recv(65536):
            pass
    stream.close()


if __name__ == "__main__":
    watch(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))

"""A small process that keeps a driver's socket open and closes it cleanly if the driver is killed.

If a process is killed with a message unread, the kernel answers the other side with a reset, after
which i-PI 3.3 waits for ever. With this process the socket stays open until what is left has been
read; then the connection closes normally, and i-PI gives the work to another driver.

Run as a script, by path, so that it imports nothing of this package: ``python -S guardian.py SOCKET
PIPE``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys


class Guardian:
    """Second owner of a connected socket, until `dismiss` is called or this process ends."""

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
        """Let the process close its copy of the socket and end."""
        os.close(self._alive)
        self._process.wait()


def watch(stream: socket.socket, pipe: int) -> None:
    """Wait until the other end of the pipe is closed; then read what is left and close."""
    os.read(pipe, 1)
    stream.setblocking(False)
    # An error means that there is nothing more, or that the other side is gone.
    with contextlib.suppress(OSError):
        while stream.recv(65536):
            pass
    stream.close()


if __name__ == "__main__":
    watch(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))

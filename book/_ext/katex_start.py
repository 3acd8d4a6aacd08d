"""Start the program that renders formulas, and wait until it listens.

``sphinxcontrib.katex`` connects as soon as the program's socket is there. That is a
moment before the program listens to it, so that now and then the connection is refused,
and the build ends.
"""

from __future__ import annotations

import time
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from subprocess import PIPE, Popen

from sphinxcontrib.katex import KaTeXServer

PAUSE = 0.001


def start(rundir: Path, timeout: float) -> tuple[Popen[bytes], socket]:
    """Return the program and a connection to it.

    Parameters
    ----------
    rundir : path
        An empty folder.
    timeout : float
        How long to wait, in seconds.

    Raises
    ------
    KaTeXError
        The program does not listen after that time.
    """
    path = rundir / "katex.sock"
    command = KaTeXServer.build_command(socket=path)
    process = Popen(command, stdin=PIPE, stdout=PIPE, cwd=rundir)
    end = time.monotonic() + timeout
    connection = socket(AF_UNIX, SOCK_STREAM)
    while True:
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() < end:
                time.sleep(PAUSE)
                continue
            connection.close()
            process.kill()
            process.communicate()
            raise KaTeXServer.timeout_error(timeout) from None
        return process, connection


def take_over() -> None:
    """Let the extension start the program in this way."""
    KaTeXServer.start_server_process = staticmethod(start)

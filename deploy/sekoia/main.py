"""Hands over to the binary beside this file.

The platform's checks look for the commands of a module in a file of this name: each is registered
on a variable called `module`. The module itself is the binary; nothing of it is written in Python.
"""

import os
import signal
import sys
from pathlib import Path

BINARY = Path(__file__).resolve().with_name("message-trace")


class Module:
    """The commands of the binary."""

    def register(self, item: Path, name: str) -> None:
        """Says that the binary knows a command. What it makes of others is its own affair."""

    def run(self) -> None:
        """Becomes the binary: same process, arguments, environment and working directory."""
        # Python ignores these two, and the binary would inherit that.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        try:
            os.execv(BINARY, [str(BINARY), *sys.argv[1:]])
        except OSError as error:
            sys.exit(
                f"cannot run {BINARY}, which comes with this file: {error.strerror}"
            )


module = Module()
module.register(BINARY, "message_trace")
module.register(BINARY, "message_trace_graph")
module.register(BINARY, "message_trace_oauth")

if __name__ == "__main__":
    module.run()

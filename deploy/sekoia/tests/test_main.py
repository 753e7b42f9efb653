"""main.py hands over to the binary beside it."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

MAIN = Path(__file__).resolve().parents[1] / "main.py"

BINARY = """#!/bin/sh
echo "$$ $TEST_MAIN $PWD"
printf '%s\\n' "$@"
grep SigIgn /proc/self/status
exit 7
"""


class MainTest(unittest.TestCase):
    """Runs it with a binary that tells what it sees."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        self.main = self.folder / "main.py"
        self.main.write_bytes(MAIN.read_bytes())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.main), *arguments],
            cwd="/",
            env={**os.environ, "TEST_MAIN": "seen"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_the_binary_takes_over(self) -> None:
        binary = self.folder / "message-trace"
        binary.write_text(BINARY)
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
        arguments = ["message_trace", "--data-dir", "a b", ""]
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=60)
        first, *rest = output.splitlines()
        self.assertEqual(first, f"{process.pid} seen /")
        self.assertEqual(rest[:-1], arguments)
        ignored = int(rest[-1].removeprefix("SigIgn:"), 16)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT):
            self.assertEqual(ignored >> (number - 1) & 1, 0, number)
        self.assertEqual(process.returncode, 7)

    def test_a_missing_binary_is_told(self) -> None:
        process = self.start("message_trace")
        output, complaint = process.communicate(timeout=60)
        self.assertEqual((output, process.returncode), ("", 1))
        self.assertIn("No such file or directory", complaint)
        self.assertNotIn("Traceback", complaint)


if __name__ == "__main__":
    unittest.main()

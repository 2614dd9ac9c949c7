"""Reports that the parent process was aborted. It is a separate program and imports no package.

It reads its standard input. A line `report STATUS TEXT` says what an abort is to be reported as; `silent` says that
it is not. Lines of Python's `faulthandler` follow when the process has had a fatal signal. If that is an abort, the
text goes to standard error and a byte to standard output. Then the process is sent the signal whose number is the
status: its handler ends it with that status. Other fatal errors are printed as they are. Standard input ends when the
process has ended.
"""

import os
import sys

ABORTED = b"Fatal Python error: Aborted"


def main(watched: int) -> None:
    """Runs until the process `watched` has ended."""
    report: tuple[int, bytes] | None = None
    for line in sys.stdin.buffer:
        word, _, rest = line.partition(b" ")
        if word == b"report":
            status, _, text = rest.partition(b" ")
            report = int(status), text
        elif word == b"silent\n":
            report = None
        elif not line.startswith(ABORTED):
            os.write(2, line)
        else:
            if report is not None:
                status, text = report
                os.write(2, text.replace(b"\0", b"\n"))
                if os.getppid() == watched:
                    os.write(1, b"!")  # before the signal comes
                    os.kill(watched, status)
            return


if __name__ == "__main__":
    main(int(sys.argv[1]))

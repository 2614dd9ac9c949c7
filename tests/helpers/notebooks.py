"""Notebooks as MyST Markdown: their code cells as a program."""

import re

FENCE = re.compile(r"^```(\{code-cell\})?.*$")


def program(text):
    """Returns the code cells, in order, each at its line of the page; prose is empty lines.

    A traceback then names the line of the page.
    """
    lines, is_code = [], False
    for line in text.splitlines():
        fence = FENCE.match(line)
        if fence:
            is_code = fence.group(1) is not None
        lines.append(line if is_code and not fence else "")
    return "\n".join(lines) + "\n"

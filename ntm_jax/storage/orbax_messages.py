"""Keeps Orbax's log messages from being printed, without changing the process's logging."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silenced() -> Iterator[None]:
    """Suppresses Orbax's log messages inside the context, and leaves the process's logging as it was.

    absl gives the root logger a handler if it has none, which would make a later
    `logging.basicConfig` do nothing. That handler is removed again.
    """
    logger, handlers = logging.getLogger("absl"), list(logging.root.handlers)

    def of_others(record: logging.LogRecord) -> bool:  # one for each context: they nest
        return "orbax" not in record.pathname

    logger.addFilter(of_others)
    try:
        yield
    finally:
        logger.removeFilter(of_others)
        for handler in logging.root.handlers[:] if not handlers else ():
            format_of = getattr(handler.formatter, "_fmt", None)
            if type(handler) is logging.StreamHandler and format_of == logging.BASIC_FORMAT:
                logging.root.removeHandler(handler)

"""Orbax's messages are suppressed, and no others."""

import logging

from ntm_jax.storage import array_folders


def test_contexts_without_orbaxs_messages_nest(caplog):
    logger = logging.getLogger("absl")

    def say(folder):
        record = logger.makeRecord("absl", logging.ERROR, f"/{folder}/a.py", 1, folder, (), None)
        logger.handle(record)

    with array_folders._without_messages():
        with array_folders._without_messages():
            say("orbax")
        say("orbax")
        say("mine")
    assert caplog.messages == ["mine"]
    say("orbax")
    assert caplog.messages == ["mine", "orbax"]

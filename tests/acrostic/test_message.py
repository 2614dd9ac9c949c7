"""A message as typed: what of it a poem contains, and the choice that is offered if it cannot be written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntm_jax.acrostic import message
from ntm_jax.errors import UserError

KNOWN = "紅為唇此山"


@pytest.mark.parametrize(
    ("typed", "text", "left_out"),
    [
        ("紅春願此", "紅春願此", ""),
        ("红春愿此", "紅春願此", ""),
        (" 紅，春。願 此！", "紅春願此", ""),
        # One simplified character, two traditional ones, by what is beside it.
        ("头发发愿", "頭髮發願", ""),
        ("后", "后", ""),  # simplified for 後, and a character of its own that is there
        ("紅❤️", "紅", "❤️"),
        ("🎉紅👨‍👩‍👧春👍🏽", "紅春", "🎉👨‍👩‍👧👍🏽"),
        ("紅+春=願 ♥", "紅春願", "+=♥"),
        ("紅\N{VARIATION SELECTOR-17}", "紅", ""),  # which of a character's shapes is meant
    ],
)
def test_a_message_is_read(typed, text, left_out):
    assert message.read(typed, "紅春願此頭髮發后後", 32) == message.Message(text, left_out)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "the message is empty"),
        ("，。 ", "the message is empty"),
        ("🎉❤️", "the message is empty"),
        ("spring", "the message has 'spring', which no poem can contain; give Chinese characters"),
        ("こんにちは", "the message has 'こんにちは', which"),
        ("x" * 30 + "abcdefghijklmnopqrstuvwxyz", "the message has 'xabcdefghijklmnopqrs', which"),
        (
            "hello紅",
            "the message has 'hello', which no poem can contain; try 紅",
        ),  # as it was typed
        ("紅あ", "the message has 'あ', which no poem can contain; try 紅"),
        ("a紅bあ為a", "the message has 'abあ', which no poem can contain; try 紅為"),
        ("紅\ue000", "the message has '.ue000'"),  # of private use, not left out in silence
        ("紅\udcff", "the message has '.udcff'"),
        ("紅" * 33, "33 characters.*32 lines at most"),
        # Another form of one that is there; one that sounds the same; one that sounds nearly so.
        ("紅爲", "爲 is not among the 5 characters that the model knows; try 紅為"),
        ("洪", "洪 is not among .*; try 紅"),
        ("純", "純 is not among .*; try 唇"),
        ("純洪純", "純, 洪 are not among .*; try 唇紅唇"),
        ("純x", "the message has 'x', .*; try 唇"),
        # Nothing is near.
        ("\U00030000", "is not among the 5 characters that the model knows; choose another"),
        ("\U00030000山", "is not among the 5 characters that the model knows; try 山"),
    ],
)
def test_a_message_that_cannot_be(typed, said):
    with pytest.raises(UserError, match=said) as raised:
        message.read(typed, KNOWN, 32)
    assert "\n" not in str(raised.value)


def test_digits_are_offered_as_characters():
    with pytest.raises(UserError, match="'200', which no poem can contain; try 山二零零"):
        message.read("山200", "二零山", 32)


@given(st.text(st.sampled_from("紅洪爲純山红龘𠮷\U00030000x2あ❤️🎉，"), max_size=40))
def test_what_is_offered_can_be_written(typed):
    try:
        found = message.read(typed, KNOWN, 32)
    except UserError as error:
        _, offers, offered = str(error).partition("; try ")
        if not offers:
            return
        found = message.read(offered, KNOWN, 32)
    assert set(found.text) <= set(KNOWN)
    assert 1 <= len(found.text) <= 32

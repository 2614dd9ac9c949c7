"""How lines sound in Mandarin."""

import pytest

from ntm_jax.acrostic.pinyin import pinyin


@pytest.mark.parametrize(
    ("line", "sounds"),
    [
        ("春風吹落花", "chūn fēng chuī luò huā"),
        ("長安古道", "cháng ān gǔ dào"),  # 長 by itself is zhǎng
        ("行行重行行", "xíng xíng chóng xíng xíng"),
        ("山\U00030000水\U00030000\U00030001", "shān  shuǐ  "),  # of no dictionary
    ],
)
def test_each_character_has_its_pinyin(line, sounds):
    assert pinyin(line) == sounds.split(" ")

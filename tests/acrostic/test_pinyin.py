"""How lines sound in Mandarin."""

import pytest

from ntm_jax.acrostic.pinyin import pinyin


@pytest.mark.parametrize(
    ("line", "sounds"),
    [
        ("春風吹落花", "chūn fēng chuī luò huā"),
        ("銀行", "yín háng"),  # 行 by itself is xíng
        ("長憶還家塞", "cháng yì huán jiā sài"),  # as in verse
        ("生長", "shēng zhǎng"),
        ("行行重行行", "xíng xíng chóng xíng xíng"),
        ("山\U00030000水\U00030000\U00030001", "shān  shuǐ  "),  # of no dictionary
    ],
)
def test_each_character_has_its_pinyin(line, sounds):
    assert pinyin(line) == sounds.split(" ")

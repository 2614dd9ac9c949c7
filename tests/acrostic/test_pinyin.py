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
        ("黃河盡入海", "huáng hé jìn rù hǎi"),  # exhausted, not at most
        ("不見一花落", "bù jiàn yī huā luò"),  # as written, not as changed before other tones
        ("雲山幾萬重", "yún shān jǐ wàn chóng"),
        ("已三十載", "yǐ sān shí zǎi"),
        ("朝雲暮雨", "zhāo yún mù yǔ"),
        ("六朝天子", "liù cháo tiān zǐ"),
        ("明朝", "míng zhāo"),  # tomorrow, not the later dynasty
        ("曲中論", "qǔ zhōng lún"),
        ("行行重行行", "xíng xíng chóng xíng xíng"),
        ("山\U00030000水\U00030000\U00030001", "shān  shuǐ  "),  # of no dictionary
    ],
)
def test_each_character_has_its_pinyin(line, sounds):
    assert pinyin(line) == sounds.split(" ")

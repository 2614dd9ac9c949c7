"""Gives the Mandarin pronunciation of lines, for readers of the page."""

from functools import lru_cache
from typing import Any

from ntm_jax.acrostic.message import simplified
from ntm_jax.errors import needs

# Readings that verse has more often than prose: long, return, border, end, all, exhausted, sunk, morning, discuss, let,
# touch.
IN_VERSE = {
    "长": "cháng,zhǎng",
    "还": "huán,hái",
    "塞": "sài,sāi,sè",
    "了": "liǎo,le",
    "都": "dū,dōu",
    "尽": "jìn,jǐn",
    "没": "mò,méi",
    "朝": "zhāo,cháo",
    "论": "lún,lùn",
    "教": "jiāo,jiào",
    "着": "zhuó,zhe,zháo",
}
# Words of verse that the dictionary lacks, or has with a reading of prose.
WORDS_IN_VERSE = """
千重 qiān chóng, 万重 wàn chóng, 几重 jǐ chóng, 百重 bǎi chóng, 数重 shù chóng, 重门 chóng mén, 重阳 chóng yáng,
十载 shí zǎi, 百载 bǎi zǎi, 几载 jǐ zǎi, 数载 shù zǎi,
朝来 zhāo lái, 朝云 zhāo yún, 朝朝 zhāo zhāo, 朝暮 zhāo mù, 朝阳 zhāo yáng, 朝露 zhāo lù, 朝霞 zhāo xiá, 明朝 míng zhāo,
早朝 zǎo cháo, 圣朝 shèng cháo, 朝天 cháo tiān, 朝衣 cháo yī, 入朝 rù cháo,
一曲 yī qǔ, 曲中 qǔ zhōng, 此曲 cǐ qǔ, 乐声 yuè shēng
"""
# The dictionary's words have these as they change before other tones, or without a tone. Pinyin is written without that.
UNCHANGED = {"不": "bù", "一": "yī", "子": "zǐ"}


def pinyin(line: str) -> list[str]:
    """Returns the pinyin of each character, such as chūn; empty for a character that is in no dictionary.

    A character with several readings gets the one that fits the word around it: 行 is háng in 銀行. The words of the
    dictionary are in simplified characters.
    """
    characters = simplified(line)
    found = _library().pinyin(characters, errors=_nothing)
    return [
        UNCHANGED.get(character, readings[0])
        for character, readings in zip(characters, found, strict=True)
    ]


@lru_cache
def _library() -> Any:
    with needs("acrostic"):
        import pypinyin
    pypinyin.load_single_dict(
        {ord(character): readings for character, readings in IN_VERSE.items()}
    )
    entries = (entry.split() for entry in WORDS_IN_VERSE.split(","))
    pypinyin.load_phrases_dict({word: [[sound] for sound in sounds] for word, *sounds in entries})
    return pypinyin


def _nothing(unknown: str) -> list[list[str]]:
    return [[""] for _ in unknown]

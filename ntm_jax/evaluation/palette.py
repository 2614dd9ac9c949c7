"""Defines the colours of every figure, so that a model or a head has the same colour in all of them."""

MODELS = {"ntm-ff": "#7b3fa0", "ntm-lstm": "#0f8b8d", "lstm": "#c9820a"}
WRITE, READ = "#d1495b", "#2e6f95"  # heads
INK, GREY = "#222222", "#9a9a9a"
NOT_SCORED = "#f2ead8"  # no value of a colour map below has this tint
# Fonts with Chinese characters, of Linux, macOS and Windows.
CHINESE_FONTS = (
    *(
        "Noto Sans CJK TC",
        "Noto Sans CJK SC",
        "Noto Sans CJK JP",
        "Noto Serif CJK TC",
        "WenQuanYi Zen Hei",
    ),
    *("PingFang TC", "PingFang HK", "Heiti TC", "Microsoft JhengHei", "MingLiU", "SimSun"),
)
MARKERS = "osD^vP*X"  # one for each head of a kind

# Colour maps, from the least value to the greatest: bits and probabilities, the same with values down to -1, errors,
# vectors with signs, and the weights of either kind of head.
VALUES = ("white", GREY, INK)
VALUES_WITH_SIGN = ("#2166ac", "#92b6d6", *VALUES)
ERRORS = ("white", "#e39a2d", "#7a2e0e")
SIGNED = ("#2166ac", "white", "#b2182b")
WEIGHTS = {
    "write": ("white", "#e58b98", WRITE, "#7d1128"),
    "read": ("white", "#7fb0cf", READ, "#0d3350"),
}


def of_model(name: str) -> str:
    """Returns the colour of a model, such as `ntm-ff`; ink for one that is not known."""
    return MODELS.get(name, INK)

"""What axe-core, Deque's checker of accessibility, holds against a page."""

import pytest

from tests.helpers.browser import look

GRAVE = ("serious", "critical")
THEMES = {"light": False, "dark": True}


def violations(page, width=1280):
    """What axe finds in both themes: `theme, impact, rule, element`. The test is skipped where axe is not installed."""
    axe = pytest.importorskip(
        "selenium_axe_python", reason="no axe-core here: selenium-axe-python is needed"
    )
    found = []
    for theme, dark in THEMES.items():
        look(page, width, dark=dark)
        checker = axe.Axe(page)
        checker.inject()
        for rule in checker.run()["violations"]:
            places = [" ".join(map(str, node["target"])) for node in rule["nodes"]]
            found += [(theme, rule["impact"], rule["id"], place) for place in places]
    return found


def grave(page, width=1280):
    """The serious and critical ones."""
    found = violations(page, width)
    print([one for one in found if one[1] not in GRAVE])
    return [one for one in found if one[1] in GRAVE]

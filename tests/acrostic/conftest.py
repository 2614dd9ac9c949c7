"""What the tests of the acrostics' page share: runs, their viewer and a browser."""

import pytest

from tests.helpers.browser import browser, save_walker, viewer
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import save


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("runs")
    with quick_compile(tmp_path_factory.getbasetemp()):
        save_walker(base / "walker", tiny())
        save(base / "verse", tiny("acrostic", "ntm-lstm"))
        save(base / "baseline", tiny("acrostic", "lstm"))
    return base


@pytest.fixture(scope="module")
def address(folder):
    with viewer(folder / "walker", folder / "verse", folder / "baseline") as address:
        yield address


@pytest.fixture(scope="module")
def page():
    with browser() as page:
        yield page

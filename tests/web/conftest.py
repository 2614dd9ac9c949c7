"""What the tests of the pages share: a browser, runs whose heads walk, and a look at the browser's console."""

import pytest

from tests.helpers.browser import browser, complaints, look, save_walker
from tests.helpers.configs import quick_compile


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A browser's page; its downloads are in the folder `page.downloads`."""
    folder = tmp_path_factory.mktemp("downloads")
    with browser(downloads=folder) as page:
        page.downloads = folder
        yield page


@pytest.fixture(scope="module")
def walkers(tmp_path_factory):
    """A function that saves runs whose heads walk, name=config, and gives their folder."""

    def save(**runs):
        base = tmp_path_factory.mktemp("runs")
        with quick_compile(tmp_path_factory.getbasetemp()):
            for name, config in runs.items():
                save_walker(base / name, config)
        return base

    return save


def begin(page):
    page.get("about:blank")
    page.get_log("browser")
    look(page, 1600)


@pytest.fixture
def no_complaints(page):
    """A wide window; the console holds nothing against the page."""
    begin(page)
    yield
    assert complaints(page) == []


@pytest.fixture
def only_refusals(page):
    """The same, but for requests that the server refuses."""
    begin(page)
    yield
    assert all("400" in message for message in complaints(page))

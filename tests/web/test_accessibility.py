"""axe-core finds nothing serious on any page, in both themes."""

import pytest

from ntm_jax.web.report import gallery, single_file
from ntm_jax.web.viewer import sources
from tests.helpers.accessibility import grave
from tests.helpers.browser import js, printed_address, program, settled, viewer, wait_for
from tests.helpers.moments import save_moments
from tests.helpers.runs import flags
from tests.helpers.shipped import SHIPPED

pytestmark = pytest.mark.slow
SHOWN = ("copy-ntm-ff", "priority_sort-ntm-ff", "associative_recall-ntm-ff", "acrostic-ntm-lstm")


@pytest.fixture(scope="module")
def address():
    with viewer(*(SHIPPED / name for name in SHOWN)) as address:
        yield address


def visit(page, address):
    page.get("about:blank")
    page.get(address)
    settled(page)


@pytest.mark.parametrize("run", SHOWN[:3])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_viewer(page, address, run, width):
    visit(page, f"{address}#run={run}")
    for details in ("edit", "break", "glossary", "rare"):
        js(page, "document.getElementById(arguments[0]).open = true", details)
    assert grave(page, width) == []


def test_two_runs(page, address):
    visit(page, f"{address}#run=copy-ntm-ff&break=gate_0_1_25")
    assert grave(page) == []


def test_the_poems(page, address):
    page.get(f"{address}acrostic")
    busy = "return document.getElementById('poems').getAttribute('aria-busy')"
    wait_for(lambda: js(page, busy) == "false")
    js(page, "document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert js(page, "return document.querySelectorAll('.poem').length") > 0
    assert grave(page) == []


def test_one_episode_while_it_learns(page, tmp_path):
    save_moments(tmp_path / "run")
    with viewer(tmp_path / "run") as address:
        page.get(address + "moments#run=0")
        wait_for(lambda: js(page, "return document.querySelectorAll('#moments canvas').length"))
        assert grave(page) == []


def test_the_monitor(page, tmp_path):
    with program(*flags(tmp_path / "run", train__log_every=100)) as process:
        page.get(printed_address(process))
        wait_for(lambda: js(page, "return document.querySelectorAll('#moments canvas').length"))
        wait_for(lambda: js(page, "return document.querySelectorAll('#episode .main-svg').length"))
        assert grave(page) + grave(page, 400) == []


def test_a_report(page, tmp_path):
    shown = sources.open_sources([SHIPPED / "copy-ntm-ff", SHIPPED / "copy-ntm-lstm"])
    single_file.report(shown, tmp_path / "report.html")
    visit(page, (tmp_path / "report.html").as_uri())
    js(page, "document.getElementById('edit').open = true")
    assert grave(page) == []


def test_the_gallery(page, tmp_path):
    shown = sources.open_sources([SHIPPED / name for name in SHOWN])
    gallery.write(shown, tmp_path / "gallery")
    page.get((tmp_path / "gallery" / "index.html").as_uri())
    assert js(page, "return document.querySelectorAll('.card').length") >= 3
    assert grave(page) + grave(page, 360) == []
    visit(page, (tmp_path / "gallery" / "copy-ntm-ff.html").as_uri())
    assert grave(page) == []

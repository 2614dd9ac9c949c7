"""What tests do with the viewer's page: visit it, read what it shows, and change what it asks."""

from contextlib import contextmanager

import numpy as np

from tests.helpers.browser import js, settled, wait_for

OVER_TIME = ".over-time .figure"
PANEL = """
const figure = document.querySelectorAll(arguments[1])[arguments[2]];
const titles = figure.layout.annotations.filter((a) => a.yref === 'paper').map((a) => a.text);
const axis = titles.findIndex((t) => t.startsWith(arguments[0]));
const name = axis === 0 ? 'y' : 'y' + (axis + 1);
return figure.data.filter((d) => d.yaxis === name).map((d) => d.z || d.y);
"""


def visit(page, address, link=""):
    page.get("about:blank")
    page.get(f"{address}#{link}")
    settled(page)


def panel(page, title, column=0):
    """What the panel with this title shows, as an array [rows, steps] for a heatmap."""
    (values,) = js(page, PANEL, title, OVER_TIME, column)
    return np.array(values, float)


def titles(page, column=0):
    """The titles of the figure over time."""
    code = (
        "return document.querySelectorAll(arguments[0])[arguments[1]].layout.annotations"
        ".filter((a) => a.yref === 'paper').map((a) => a.text)"
    )
    return js(page, code, OVER_TIME, column)


def state(page):
    """What the link says."""
    return js(page, "return NTM.readLink()")


def click(page, name):
    js(page, "document.getElementById(arguments[0]).click()", name)


def put(page, name, value, event="change"):
    code = "const e = document.getElementById(arguments[0]); e.value = arguments[1]; "
    js(page, code + "e.dispatchEvent(new Event(arguments[2], {bubbles: true}))", name, value, event)


def cursor(page, column=0):
    """The step that a column shows."""
    code = "return document.querySelectorAll('.cursor')[arguments[0]].dataset.step"
    return int(js(page, code, column))


def slide(page, step):
    """Moves the slider, and waits until the page and the link have followed."""
    put(page, "step", step, "input")
    wait_for(lambda: cursor(page) == step and state(page)["step"] == str(step))


def text(page, selector):
    return js(page, "return document.querySelector(arguments[0]).innerText", selector)


def notice(page):
    """What the page says above the pictures, if anything."""
    code = "const n = document.getElementById('notice'); return n.hidden ? '' : n.innerText.trim()"
    return js(page, code)


def choose(page, run):
    """Chooses a run of the menu by its name, as a visitor does."""
    code = "return [...document.getElementById('run').options].find((o) => o.text === arguments[0]).value"
    put(page, "run", js(page, code, run))
    settled(page)


@contextmanager
def offline(page):
    """A browser without a network."""
    page.execute_cdp_cmd("Network.enable", {})
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.execute_cdp_cmd("Network.emulateNetworkConditions", {**network, "offline": True})
    try:
        yield
    finally:
        page.execute_cdp_cmd("Network.emulateNetworkConditions", {**network, "offline": False})

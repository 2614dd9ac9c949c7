"""What the tests of the pages share: runs whose heads do what is known, servers, requests and a browser."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import jax.numpy as jnp
import pytest

from ntm_jax.storage import run_folder
from ntm_jax.storage.checkpoints import Checkpoints
from ntm_jax.training.trainer import Trainer
from tests.helpers import ROOT

PATIENCE_SECONDS = 300  # for what takes seconds on an idle machine


def save_walker(workdir, config, update=7):
    """A run whose heads all move on by one row at every step, whatever they see; and its model.

    Gates are shut, shifts are by +1, and weightings sharp, by the biases alone.
    """
    trainer = Trainer(config)
    state = trainer.initial_state()
    heads = trainer.model(state).heads
    a, moves = heads.addressings, heads.widths[3] // heads.addressings
    parts = [jnp.zeros(width) for width in heads.widths]
    parts[2] = jnp.full(a, -30.0)
    parts[3] = jnp.tile(jnp.eye(moves)[-1] * 30, a)
    parts[4] = jnp.full(a, 5.0)
    parameters = dict(state.parameters)
    parameters["to_heads"] = {
        "kernel": jnp.zeros_like(parameters["to_heads"]["kernel"]),
        "bias": jnp.concatenate(parts),
    }
    state = state.replace(update=jnp.int32(update), parameters=parameters)
    run_folder.register(workdir, config)
    training = (state.update, state.optimizer, state.sums)
    Checkpoints(workdir).save(update, state.parameters, training, 1.5, config)
    return trainer.model(state)


# ---- Servers and requests


def environment():
    """Of a process that starts one of the project's."""
    return {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}


@contextmanager
def program(*arguments, cwd=None):
    """`ntm_jax.main` as a process, its output as text, ended with the context."""
    process = subprocess.Popen(
        # A shell's background jobs ignore Ctrl-C, and so would what they start.
        ["env", "--default-signal=INT", sys.executable, "-m", "ntm_jax.main", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def printed_address(process):
    """The address in the first line that a server prints."""
    line = process.stdout.readline()
    assert "http://" in line, line + process.stderr.read()
    return next(word for word in line.split() if word.startswith("http://"))


@contextmanager
def viewer(*paths):
    """The address of a viewer of these runs and weights, served by the program itself."""
    first, *others = paths
    which = "--workdir" if Path(first).is_dir() else "--weights"
    beside = [word for path in others for word in ("--beside", path)]
    with program("--mode", "serve", which, first, *beside, "--port", "0") as process:
        yield printed_address(process)


def get(address, path="/", method="GET", **headers):
    """Status, headers and body of one request."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_SECONDS)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=names)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def get_json(address, path):
    """The JSON that a path answers with."""
    status, _, body = get(address, path)
    assert status == 200, body
    return json.loads(body)


def wait_for(what, seconds=PATIENCE_SECONDS):
    """The first true value of a call; fails when there is none for too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


# ---- A browser


def find(*names):
    return next((path for path in map(shutil.which, names) if path), None)


@contextmanager
def browser(width=1600, height=1200, dark=False, downloads=None):
    """A headless Chromium; the test is skipped where there is none, unless NTM_JAX_BROWSER is `required`."""
    binary, driver = find("chromium", "chromium-browser", "google-chrome"), find("chromedriver")
    if not (binary and driver):
        assert os.environ.get("NTM_JAX_BROWSER") != "required", "no chromium and chromedriver"
        pytest.skip("no browser here: chromium and chromedriver are needed")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    if downloads:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(driver))
    try:
        made.set_script_timeout(PATIENCE_SECONDS)
        look(made, width, height, dark)
        yield made
    finally:
        made.quit()


def look(page, width, height=1200, dark=False):
    """Sets the window's size and the system's theme."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})


def js(page, code, *arguments):
    """What a piece of JavaScript returns."""
    return page.execute_script(code, *arguments)


def settled(page):
    """Waits until the viewer shows what was asked for."""
    state = "const c = document.getElementById('columns'); return c && c.getAttribute('aria-busy')"
    wait_for(lambda: js(page, state) == "false")


def complaints(page):
    """What the browser's console holds against the page."""
    return [entry["message"] for entry in page.get_log("browser") if entry["level"] != "INFO"]


# Figures that are not as high as what is drawn in them, or not as wide as their place.
MISFITS = """
return [...document.querySelectorAll('.figure')].filter((f) => f.data && !f.hidden).filter((f) => {
  const [box, drawn] = [f, f.querySelector('.main-svg')].map((e) => e.getBoundingClientRect());
  return Math.abs(box.height - drawn.height) > 1 || Math.abs(f.clientWidth - drawn.width) > 1;
}).map((f) => f.getAttribute('aria-label'));
"""


# Words in a figure that lie over others.
COLLISIONS = """
const words = [...document.querySelectorAll(arguments[0])].flatMap((figure) =>
  [...figure.querySelectorAll('.annotation text, [class^="legend"] text, [class^="y"][class$="tick"] text')]);
const boxes = words.map((e) => [e.textContent, e.getBoundingClientRect()]).filter(([, b]) => b.width > 0);
const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
return boxes.flatMap(([text, a], i) => boxes.slice(i + 1).filter(([, b]) => over(a, b)).map(([other]) => [text, other]));
"""


# The least contrast of any text and what is behind it, by the formula of WCAG 2.
CONTRAST = """
const light = (c) => {
  const [r, g, b] = c.map((x) => { x /= 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const parse = (c) => c.match(/[\\d.]+/g).map(Number);
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0.9) return c.slice(0, 3);
  }
  return [255, 255, 255];
};
let worst = [99, ''];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.getClientRects().length || ['SCRIPT', 'STYLE'].includes(e.tagName)) continue;
  const style = getComputedStyle(e);
  const ink = parse(e.closest('svg') ? style.fill : style.color).slice(0, 3);
  const [a, b] = [light(ink), light(behind(e))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < worst[0]) worst = [ratio, e.tagName + ' ' + e.textContent.slice(0, 30)];
}
return worst;
"""

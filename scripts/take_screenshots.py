"""Takes the documentation's pictures of all pages anew, with a headless Chromium.

It needs chromium, chromedriver and the package selenium, and takes some minutes, for it trains a run for the monitor.
Weights of the Go implementation for the picture of two runs are given with `--weights`; without them that picture
stays as it is. `--only monitor` takes the pictures whose names begin so.
"""

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

IMAGES = Path(__file__).parents[1] / "docs" / "images"
MAIN = [sys.executable, "-m", "ntm_jax.main"]
COLOURS = 256  # of a picture, which makes it a third as large
PATIENCE_SECONDS = 300
PRIORITIES = "0.5_-0.5_0_0.9_-0.9_0.1_0.2_0.3_0.4_0.6_0.7_0.8_-0.1_-0.2_-0.3_-0.4_-0.6_-0.7_-0.8_1"
HEART = "cPj8fj9-_PhwAHD4_H4_fvz4cAA"
SETTLED = "return document.getElementById('columns')?.getAttribute('aria-busy') === 'false'"
WRITTEN = "return document.getElementById('poems')?.getAttribute('aria-busy') === 'false'"
LEARNED = 12_000  # updates after which the monitor's picture is taken
TRAINED = f"return Number(document.querySelector('.tiles dd')?.innerText.split(' ')[0].replaceAll(',', '')) > {LEARNED}"


@dataclass(frozen=True)
class Picture:
    """Describes a picture: the page's address after the server's, its size, its theme, and when it is ready."""

    link: str
    width: int
    height: int
    dark: bool = False
    ready: str = SETTLED


VIEWER = {
    "viewer": Picture("#run=copy-ntm-ff&length=20&seed=0&step=30", 1280, 800),
    "viewer_recall": Picture("#run=associative_recall-ntm-lstm&items=6&seed=0", 1280, 800),
    "viewer_sort": Picture(
        f"#run=priority_sort-ntm-ff&seed=0&numbers={PRIORITIES}", 1280, 1200, dark=True
    ),
    "viewer_400": Picture(f"#run=copy-ntm-ff&length=20&seed=0&step=30&bits={HEART}", 400, 1300),
    "viewer_acrostic": Picture("acrostic", 1280, 900, ready=WRITTEN),
}
TWO = "#run=copy-ntm-ff&beside={name}&length=120&seed=0&step=200"
MONITOR = {
    "monitor": Picture("", 1280, 1000, ready=TRAINED),
    "monitor_400": Picture("", 400, 1000, dark=True, ready=TRAINED),
}
GALLERY = {
    "gallery": Picture("index.html", 1280, 900, ready="return true"),
    "report": Picture(f"copy-ntm-ff.html#length=20&step=30&bits={HEART}", 1280, 900, dark=True),
}


@contextmanager
def browser() -> Iterator[Any]:
    """Starts a headless Chromium."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (binary and driver):
        raise SystemExit("no chromium and chromedriver; apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    page = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield page
    finally:
        page.quit()


@contextmanager
def program(*arguments: str, folder: Path | None = None) -> Iterator[str]:
    """Starts the program, in a folder if given, and gives the address that it prints first."""
    process = subprocess.Popen([*MAIN, *arguments], stdout=subprocess.PIPE, text=True, cwd=folder)
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        yield next(word for word in words if word.startswith("http"))
    finally:
        process.terminate()
        process.wait()


def take(page: Any, address: str, name: str, picture: Picture) -> None:
    """Writes one picture into `docs/images`."""
    size = {"width": picture.width, "height": picture.height}
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {**size, "deviceScaleFactor": 1, "mobile": False}
    )
    theme = {"name": "prefers-color-scheme", "value": "dark" if picture.dark else "light"}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
    page.get("about:blank")
    page.get(address + picture.link)
    end = time.monotonic() + PATIENCE_SECONDS
    while not page.execute_script(picture.ready):
        if time.monotonic() > end:
            raise SystemExit(f"{name}: the page was not ready within {PATIENCE_SECONDS} s")
        time.sleep(0.2)
    time.sleep(1.5)  # the figures are drawn after the answer
    path = IMAGES / f"{name}.png"
    with Image.open(io.BytesIO(page.get_screenshot_as_png())) as shot:
        few = shot.convert("RGB").quantize(
            COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
        few.save(path, optimize=True)
    print(f"docs/images/{path.name}: {path.stat().st_size // 1000} kB", flush=True)


def take_all(page: Any, only: str, weights: Path | None, folder: Path) -> None:
    """Takes the pictures whose names begin with `only`; `folder` is for a run and a gallery."""

    def chosen(pictures: dict[str, Picture]) -> dict[str, Picture]:
        return {name: one for name, one in pictures.items() if name.startswith(only)}

    shown = dict(VIEWER)
    beside: list[str] = []
    if weights:
        beside = ["--beside", str(weights)]
        shown["viewer_two"] = Picture(TWO.format(name=weights.name), 1600, 1000, dark=True)
    if chosen(shown):
        with program("--mode", "serve", "--port", "0", *beside) as address:
            for name, picture in chosen(shown).items():
                take(page, address, name, picture)
    if chosen(GALLERY):
        out = folder / "gallery"
        subprocess.run([*MAIN, "--mode", "report", "--out", str(out)], check=True)
        for name, picture in chosen(GALLERY).items():
            take(page, f"{out.as_uri()}/", name, picture)
    if chosen(MONITOR):
        with program("--config", "copy", "--config.monitor.port=0", folder=folder) as address:
            for name, picture in chosen(MONITOR).items():
                take(page, address, name, picture)


def main() -> None:
    """Takes every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="a weight file of fumin/ntm for copy")
    parser.add_argument("--only", default="", help="how the names of the pictures begin")
    options = parser.parse_args()
    with browser() as page, tempfile.TemporaryDirectory() as folder:
        take_all(page, options.only, options.weights, Path(folder))


if __name__ == "__main__":
    main()

"""Takes the documentation's pictures of the viewer anew, with a headless Chromium.

It needs chromium, chromedriver and the package selenium. Weights of the Go implementation for the picture of two
runs are given with `--weights`; without them that picture stays as it is.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PRETRAINED = Path("runs") / "pretrained"
# Name of the picture -> the page's link, width, height and theme.
PICTURES = {
    "viewer": ("run=copy-ntm-ff&length=20&seed=0&step=30", 1280, 800, "light"),
    "viewer_recall": ("run=associative_recall-ntm-lstm&items=6&seed=0", 1280, 800, "light"),
    "viewer_sort": ("run=priority_sort-ntm-ff&seed=0", 1280, 1100, "light"),
    "viewer_400": ("run=copy-ntm-ff&length=20&seed=0&step=30", 400, 1400, "light"),
}
TWO = ("run=copy-ntm-ff&beside={name}&length=120&seed=0&step=200", 1600, 1000, "dark")


def browser() -> Any:
    """Starts a headless Chromium."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    return webdriver.Chrome(options=options)


def take(page: Any, address: str, name: str, picture: tuple[str, int, int, str]) -> None:
    """Writes one picture into `docs/images`."""
    link, width, height, theme = picture
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.get("about:blank")
    page.get(f"{address}#{link}&theme={theme}")
    busy = "return document.getElementById('columns')?.getAttribute('aria-busy') !== 'false'"
    while page.execute_script(busy):
        time.sleep(0.2)
    time.sleep(1)  # the figures are drawn after the answer
    page.save_screenshot(str(IMAGES / f"{name}.png"))
    print(f"docs/images/{name}.png", flush=True)


def main() -> None:
    """Takes every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="a weight file of fumin/ntm for copy")
    options = parser.parse_args()
    runs = sorted(path.parent for path in PRETRAINED.glob("*/config.json"))
    shown = [*runs, *([options.weights] if options.weights else [])]
    beside = [word for path in shown[1:] for word in ("--beside", str(path))]
    command = ["-m", "ntm_jax.main", "--mode", "serve", "--workdir", str(shown[0]), "--port", "0"]
    server = subprocess.Popen(
        [sys.executable, *command, *beside], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    address = next(word for word in server.stdout.readline().split() if word.startswith("http"))
    page = browser()
    try:
        for name, picture in PICTURES.items():
            take(page, address, name, picture)
        if options.weights:
            link, width, height, theme = TWO
            link = link.format(name=options.weights.name)
            take(page, address, "viewer_two", (link, width, height, theme))
    finally:
        page.quit()
        server.terminate()


if __name__ == "__main__":
    main()

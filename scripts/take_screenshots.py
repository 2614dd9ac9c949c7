"""Takes the documentation's pictures of the viewer anew, with a headless Chromium.

It needs chromium, chromedriver and the package selenium. Weights of the Go implementation for the picture of two
runs are given with `--weights`; without them that picture stays as it is.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PRIORITIES = "0.5_-0.5_0_0.9_-0.9_0.1_0.2_0.3_0.4_0.6_0.7_0.8_-0.1_-0.2_-0.3_-0.4_-0.6_-0.7_-0.8_1"
HEART = "cPj8fj9-_PhwAHD4_H4_fvz4cAA"
# Name of the picture -> the page's link, width, height and theme.
PICTURES = {
    "viewer": ("run=copy-ntm-ff&length=20&seed=0&step=30", 1280, 800, "light"),
    "viewer_recall": ("run=associative_recall-ntm-lstm&items=6&seed=0", 1280, 800, "light"),
    "viewer_sort": (f"run=priority_sort-ntm-ff&seed=0&numbers={PRIORITIES}", 1280, 1200, "dark"),
    "viewer_400": (f"run=copy-ntm-ff&length=20&seed=0&step=30&bits={HEART}", 400, 1300, "light"),
}
TWO = ("run=copy-ntm-ff&beside={name}&length=120&seed=0&step=200", 1600, 1000, "dark")


def browser() -> Any:
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
    return webdriver.Chrome(options=options, service=Service(driver))


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
    command = [sys.executable, "-m", "ntm_jax.main", "--mode", "serve", "--port", "0"]
    if options.weights:
        command += ["--beside", str(options.weights)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
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

"""Take docs/images/: `python docs/screenshots.py DATA_DIR`, over a publication of invented shops.

Debian's package chromium is needed. The pictures have few colours, so they are kept with a palette.
"""

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from dagster_project.dashboard.server import command

IMAGES = Path(__file__).parent / "images"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip
SHOP = {"shop": "th-siam-snacks"}
PAGES = {
    "overview": ("", {}, 1130),
    "shop": ("shop", SHOP, 1150),
    "products": ("products", SHOP, 1000),
    "reasons": ("reasons", SHOP | {"metric": "sfrr"}, 1250),
    "orders": ("orders", SHOP | {"metric": "sfrr"}, 900),
    "quality": ("quality", {}, 1100),
}
PHONE = {"overview": 1000, "shop": 1000}


def main() -> None:
    """Serve, look, save."""
    IMAGES.mkdir(exist_ok=True)
    environment = dict(os.environ, FEEDBACK_DATA_DIR=sys.argv[1], PYTHONUNBUFFERED="1")
    with (
        subprocess.Popen(command(0), env=environment, stdout=subprocess.PIPE, text=True) as server,  # noqa: S603
        sync_playwright() as playwright,
    ):
        assert server.stdout  # noqa: S101
        url = None
        while url is None and (line := server.stdout.readline()):
            url = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert url  # noqa: S101
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for width, heights in (
            (1440, {name: height for name, (_, _, height) in PAGES.items()}),
            (390, PHONE),
        ):
            page = browser.new_page(viewport={"width": width, "height": 900})
            for name, height in heights.items():
                page.set_viewport_size({"width": width, "height": height})
                path, filters, _ = PAGES[name]
                page.goto(f"{url[0]}/{path}?{urlencode(filters)}")
                _save(page, IMAGES / f"{name}{'-phone' if width < 500 else ''}.png")
        server.kill()


def _save(page: Page, path: Path) -> None:
    page.wait_for_selector("h1")
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_function("() => !document.querySelector('[data-testid=\"stSkeleton\"]')")
    page.wait_for_load_state("networkidle")
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    picture.convert("RGB").quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    main()

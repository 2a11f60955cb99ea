#!/usr/bin/env python3
"""The page of web/dist in Firefox: every part answers, and the opening race ends where it ends in Chromium.

    apt-get install firefox-esr python3-selenium && cargo install geckodriver
    tests/web/firefox.py web/dist

check.py looks closer, with what only Chromium tells. CI does not run this, since building geckodriver takes minutes."""

import gzip
import os
import pathlib
import shutil
import sys
import tempfile

from selenium import webdriver
from selenium.webdriver.firefox.service import Service

from page import OPENING, Page, png, served

DIST = pathlib.Path(sys.argv[1]).resolve()


def check(page, folder):
    page.open()
    page.click("#step")
    page.wait(lambda: page.progress() == page.progress("right") == 10)
    page.click("#reset")
    page.browser.set_script_timeout(300)
    found = page.browser.execute_async_script(OPENING)
    assert "relu 19.25 %, tanh 24.95 %" in found["text"], found
    print(f"race: {found}")
    page.open("#draw")
    page.wait(lambda: len(page.all("#guesses li")) == 5)
    page.open("#paper")
    page.wait(lambda: len(page.all("#statements tbody tr")) > 0)
    page.open("#look")
    page.click("#shipped")
    page.wait(lambda: page.text("#looked").startswith("mini"))
    photograph = folder / "shoe.png"
    photograph.write_bytes(png(28, 28, gzip.decompress((DIST / "t10k-images-idx3-ubyte.gz").read_bytes())[16:16 + 784]))
    page.choose("#photograph", photograph)
    page.wait(lambda: len(page.all("#nearest figure")) == 5)
    assert page.text("#look-guesses li").startswith("Ankle boot") and page.text("#nearest figcaption") == "Ankle boot, 0.00"
    for name in ("occlusion", "saliency"):
        page.click(f"input[value={name}]")
        page.wait(lambda: name in page.one("#view").get_attribute("aria-label"))
    page.address = DIST.as_uri()
    page.open(name="alexnet.html")
    page.click("#step")
    page.wait(lambda: page.progress() == page.progress("right") == 10, 60)
    print("race, draw, paper, look, alexnet.html: they answer")


def main():
    server = served(DIST)
    options = webdriver.FirefoxOptions()
    options.add_argument("-headless")
    options.binary_location = shutil.which("firefox-esr") or shutil.which("firefox")
    browser = webdriver.Firefox(options=options, service=Service(shutil.which("geckodriver"), log_path=os.devnull))
    try:
        with tempfile.TemporaryDirectory() as folder:
            print(f"Firefox {browser.capabilities['browserVersion']}")
            check(Page(browser, f"http://127.0.0.1:{server.server_port}", None), pathlib.Path(folder))
    finally:
        browser.quit()
        server.shutdown()


main()

"""A real Chromium without a window, which can reach this machine alone."""

import os
import pathlib
import shutil
import unittest

from cluster import BIN, until

try:
    from selenium import webdriver
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    webdriver = ActionChains = By = Keys = None

SCREENSHOTS = BIN.parent / "page-screenshots"
DRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium")


def missing():
    """What is not installed; empty if all is there."""
    found = {"python3-selenium": webdriver, "chromium-driver": DRIVER, "chromium": CHROMIUM}
    return ", ".join(package for package, there in found.items() if not there)


def skip_without_browser():
    if missing():
        raise unittest.SkipTest(f"not installed: {missing()}")


class Browser:
    def __init__(self, size=(1500, 950), dark=False):
        from selenium.webdriver.chrome.service import Service
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        # Any name but this machine's own is unknown to it: what the page fetches from elsewhere fails.
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-background-networking", "--no-proxy-server",
                         f"--window-size={size[0]},{size[1]}", *(["--force-dark-mode"] if dark else [])):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(DRIVER), options=options)
        self.driver.set_page_load_timeout(60)

    def close(self):
        self.driver.quit()

    def open(self, address, fragment=""):
        self.driver.get("about:blank")
        self.driver.get(f"http://{address}/{fragment}")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def texts(self, css):
        return self.run("return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility()).map(e => e.innerText)", css)

    def text(self, css):
        return " ".join(self.texts(css))

    def wait_text(self, css, part):
        return until(lambda: part in self.text(css) and self.text(css), lambda: f"{part!r} in {css}; it is {self.text(css)[:500]!r}")

    def press(self, *keys):
        """To whatever has the focus: asked for first, it may be drawn anew before the key comes."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def facts(self):
        """What stands above the chart: {"step": "12 / 500", ...}."""
        return dict(self.run("return [...document.querySelectorAll('.facts > div:not([hidden])')].map(e => [e.children[0].innerText, e.children[1].innerText])"))

    def drawn(self):
        """The chart's pixels, as a text that is equal for equal pictures."""
        return self.run("return document.getElementById('chart').toDataURL()")

    def errors(self):
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def screenshot(self, name):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))

"""Pages in a real headless Chromium, from disk."""

import atexit
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

SOFTWARE_WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
NO_WEBGL = ("--disable-gpu", "--disable-3d-apis")


@dataclass
class Tab:
    """A page and what its console said and asked the network for."""

    page: object
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def open_page(
    path: Path, *, webgl: bool = True, dark: bool = False, width: int = 1440, height: int = 900
) -> Iterator[Tab]:
    """Opens a file and waits until its scripts say that they are ready."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("browser tests need a Chromium on the PATH")
    browser = _playwright().chromium.launch(
        executable_path=chromium, args=["--no-sandbox", *(SOFTWARE_WEBGL if webgl else NO_WEBGL)]
    )
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    # Generous: WebGL in software on a busy machine takes its time.
    page.set_default_timeout(120_000)
    tab = Tab(page)
    page.on("console", lambda m: tab.complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    page.on("request", lambda request: tab.requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    try:
        yield tab
    finally:
        browser.close()


@cache
def _playwright():
    """One driver a process: Playwright's synchronous client refuses a second beside it."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
    driver = sync_api.sync_playwright().start()
    atexit.register(driver.stop)
    return driver

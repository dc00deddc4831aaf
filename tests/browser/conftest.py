"""A browser that can reach this machine alone, and a page that tells what it asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
QUIET += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]  # there is no other host for it


@dataclass
class Seen:
    """A page, and what it asked for and complained of."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no browser is installed at {CHROMIUM}: make browser")
    with sync_playwright() as playwright:
        # each launch has an empty folder of its own for the user's data
        opened = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def seen(browser: Browser) -> Iterator[Seen]:
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.set_default_timeout(20_000)
    watched = Seen(page)
    page.on("request", lambda request: watched.asked.append(request.url))
    page.on("requestfailed", lambda request: watched.complaints.append(f"{request.url}: {request.failure}"))
    page.on(
        "response", lambda response: watched.complaints.append(f"{response.url}: {response.status}") if response.status >= 400 else None
    )
    page.on("console", lambda message: watched.complaints.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    yield watched
    context.close()

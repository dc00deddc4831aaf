"""What people see at `/docs`: a real browser shows every operation, and asks nobody but the service."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from app.codes import CODES
from tests.app.service import Running, running
from tests.browser.conftest import Seen

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("home")) as started:
        yield started


def assert_at_peace(seen: Seen, service: Running) -> None:
    assert seen.complaints == []
    assert {urlsplit(url).netloc for url in seen.asked if not url.startswith("data:")} == {urlsplit(service.url).netloc}


def test_docs_show_every_operation_and_ask_no_other_host(service: Running, seen: Seen):
    document = httpx.get(f"{service.url}/openapi.json", trust_env=False).json()
    promised = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert len(promised) > 30

    seen.page.goto(f"{service.url}/docs")
    expect(seen.page.locator(".opblock").first).to_be_visible()
    expect(seen.page.locator(".opblock")).to_have_count(len(promised))
    blocks = seen.page.locator(".opblock").all()
    shown = {
        (
            block.locator(".opblock-summary-method").inner_text(),
            block.locator(".opblock-summary-path").get_attribute("data-path"),
        )
        for block in blocks
    }
    assert shown == promised
    assert_at_peace(seen, service)


def test_an_operation_opens_and_shows_its_schema(service: Running, seen: Seen):
    seen.page.goto(f"{service.url}/docs")
    block = seen.page.locator(".opblock", has=seen.page.locator('[data-path="/v1/jobs"]')).filter(has_text="POST")
    block.locator(".opblock-summary").click()
    body = block.locator(".opblock-section-request-body")
    expect(body).to_be_visible()
    body.get_by_text("Schema", exact=True).click()
    for name in ("backbone", "dataset", "tasks", "method"):
        expect(body.get_by_text(name, exact=True).first).to_be_visible()
    assert_at_peace(seen, service)


def test_errors_page_shows_every_code_where_a_problem_points(service: Running, seen: Seen):
    seen.page.goto(f"{service.url}/docs/errors#column_not_found")
    expect(seen.page.locator("dt")).to_have_count(len(CODES))
    for code in CODES:
        expect(seen.page.locator(f"#{code}")).to_contain_text(code)
    expect(seen.page.locator("#column_not_found")).to_be_in_viewport()
    assert_at_peace(seen, service)


def test_front_door_leads_to_the_docs(service: Running, seen: Seen):
    seen.page.goto(service.url)
    expect(seen.page).to_have_url(f"{service.url}/docs")
    expect(seen.page).to_have_title("Headstart API")
    assert_at_peace(seen, service)

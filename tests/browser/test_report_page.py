"""A report that was saved is opened from the disk, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from headstart.rendering.report_page import report_page
from tests.browser.conftest import Seen
from tests.rendering.reports import HOSTILE, hostile, numbers, report, several, tags, task

pytestmark = pytest.mark.slow


def test_a_saved_report_is_shown_without_a_network(seen: Seen, tmp_path: Path):
    file = tmp_path / "report.html"
    made = report(sentiment=task(), labels=several(), rating=numbers(), words=tags())
    file.write_text(report_page(made), encoding="utf-8")
    seen.page.context.set_offline(True)
    seen.page.goto(file.as_uri())
    expect(seen.page.get_by_text("the transfer was worth 0.092 (0.052 to 0.131)")).to_be_in_viewport()
    expect(seen.page.get_by_role("img", name="Reliability diagram").first).to_be_visible()
    expect(seen.page.get_by_role("img", name="Confusion matrix").first).to_be_visible()
    assert seen.page.locator("body").evaluate("body => getComputedStyle(body).fontSize") == "15px"  # the policy lets its style through
    wide = seen.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert wide, "the page scrolls sideways"
    assert seen.asked == [file.as_uri()]
    assert seen.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ink_stands_out_from_paper(seen: Seen, tmp_path: Path, scheme: str):
    file = tmp_path / "report.html"
    file.write_text(report_page(report()), encoding="utf-8")
    seen.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    seen.page.goto(file.as_uri())
    ink, paper = seen.page.locator("body").evaluate("body => [getComputedStyle(body).color, getComputedStyle(body).backgroundColor]")

    def brightness(colour: str) -> float:
        return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 765

    assert abs(brightness(ink) - brightness(paper)) > 0.7
    assert (brightness(paper) > 0.5) == (scheme == "light")


def test_hostile_names_do_nothing_in_a_browser(seen: Seen, tmp_path: Path):
    file = tmp_path / "report.html"
    file.write_text(report_page(hostile()), encoding="utf-8")
    seen.page.on("dialog", lambda dialog: seen.complaints.append(dialog.message))
    seen.page.goto(file.as_uri())
    expect(seen.page.get_by_text(HOSTILE[0], exact=True).first).to_be_visible()
    assert seen.page.locator("script, img, iframe").count() == 0
    assert seen.asked == [file.as_uri()]
    assert seen.complaints == []

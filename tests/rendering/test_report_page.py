"""The page has every number of the JSON, loads nothing, runs nothing, and shows hostile words as words."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from headstart.rendering.report_page import report_headers, report_page
from headstart.specs.reports import Report
from tests.rendering.reports import HOSTILE, hostile, numbers, report, several, tags, task

VOID = {"meta", "circle", "rect", "line"}  # what our pages have of it; the latter by their own end tags or none


class Parsed(HTMLParser):
    """Tags, attributes, exact numbers and text of a page; ends that fit no beginning are an error."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.numbers: set[float] = set()
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "data":
            self.numbers.add(float(dict(attrs)["value"] or "nan"))
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


def numbers_of(value: Any) -> Iterator[float]:
    """All of a JSON value but the cells of confusion matrices that hold nothing."""
    if isinstance(value, dict):
        for each in value.values():
            yield from numbers_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from numbers_of(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


ALL = {"single": task(), "several": several(), "numbers": numbers(), "tags": tags()}


@pytest.mark.parametrize("kind", ALL)
def test_every_number_of_the_json_is_in_the_page(kind: str):
    made = report(**{kind: ALL[kind]})
    page = Parsed(report_page(made))
    assert set(numbers_of(made.model_dump(mode="json"))) <= page.numbers


def test_what_the_transfer_was_worth_stands_at_the_top():
    text = Parsed(report_page(report(**ALL))).text
    assert (
        text.index("What the transfer was worth") < text.index("the transfer was worth 0.092 (0.052 to 0.131)") < text.index("Task single")
    )
    assert "1,234,567" not in text.split("Task single")[0]


@pytest.mark.parametrize("made", [report(**ALL), hostile()], ids=["kind", "hostile"])
def test_a_page_runs_nothing_and_loads_nothing(made: Report):
    page = Parsed(report_page(made, {"model": HOSTILE[1], "backbone": HOSTILE[0]}))
    assert not {"script", "img", "link", "iframe", "object", "embed", "base", "form", "image", "use", "a", "foreignobject"} & set(page.tags)
    assert page.tags.count("style") == 1
    names = {name for name, _ in page.attributes}
    assert not {"src", "href", "xlink:href", "srcset", "action", "style", "poster", "data"} & names
    assert not [name for name in names if name.startswith("on")]
    assert "url(" not in report_page(report())
    assert "@import" not in report_page(report())


def test_hostile_words_are_shown_as_they_are():
    page = report_page(hostile())
    text = Parsed(page).text
    for word in HOSTILE:
        shown = word.replace("\u202e", "\\u202e").replace("\u200b", "\\u200b")
        assert shown in text
    assert "49" not in text.replace("0.849", "")  # {{ 7 * 7 }} stays what it is
    assert "\u202e" not in page


def test_the_policy_allows_the_style_of_the_page_and_nothing_else():
    policy = report_headers()["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    content = [value for name, value in Parsed(report_page(report())).attributes if name == "content"]
    assert policy.split("; frame-ancestors")[0] in content


def test_many_classes_are_drawn_and_told():
    names = [f"class {number}" for number in range(77)]
    lines = [{"label": name, "precision": 0.5, "recall": 0.5, "f1": number / 77, "support": 3} for number, name in enumerate(names)]
    confusion = [[3 if true == said else int(said == true + 1) for said in range(77)] for true in range(77)]
    made = report(intent=task(classes=names, per_class=lines, confusion=confusion))
    page = Parsed(report_page(made))
    assert set(numbers_of(made.model_dump(mode="json"))) - {0.0} <= page.numbers
    assert "the 60 lowest, 17 more are in the table" in page.text


def test_a_report_that_was_stored_before_intervals_is_a_page_too():
    kept = ("split", "rows", "classes", "metrics", "baselines", "per_class", "confusion")
    old = {name: value for name, value in task().items() if name in kept}
    assert "no interval says whether" in Parsed(report_page(report(sentiment=old))).text

"""A job's report as one page of HTML: no script, nothing loaded, every word that came from a user escaped.

Every number of the JSON is in it, exactly, as the value of a `data` element, beside what is shown of it.
"""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from headstart.rendering import drawings
from headstart.specs.reports import Report
from headstart.specs.verdict import baseline_name, metric_name, verdict

_FOLDER = files("headstart.rendering")


def report_page(report: Report, about: Mapping[str, str] | None = None) -> str:
    """The page.

    Args:
        about: what else to say of the job, by name: the model, the backbone, the dataset.
    """
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            report=report,
            about=dict(about or {}),
            style=Markup(_style()),  # noqa: S704 - our own file
            policy=_policy(),
            drawings=drawings,
        )
    )


def report_headers() -> dict[str, str]:
    """Headers of an answer that is such a page: a browser is to run nothing in it and to load nothing for it."""
    return {"Content-Security-Policy": f"{_policy()}; frame-ancestors 'none'; sandbox"}


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def _style() -> str:
    return _FOLDER.joinpath("report.css").read_text()


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FunctionLoader(lambda name: _FOLDER.joinpath(name).read_text()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": number,
        "plain": plain,
        "spelled": spelled,
        "metric": metric_name,
        "baseline": baseline_name,
        "verdict": verdict,
    }
    return made


def number(value: float | None, digits: int = 4) -> Markup:
    """A number as a person reads it, and exactly."""
    if value is None:
        return Markup("–")
    shown = f"{value:,}" if isinstance(value, int) else _decimal(value, digits)
    return Markup('<data value="{}">{}</data>').format(value, shown)


def _decimal(value: float, digits: int) -> str:
    small = 0 < abs(value) < 10.0**-digits
    return f"{value:.{digits - 1}e}" if small or abs(value) >= 1e6 else f"{value:,.{digits}f}"


def plain(text: object) -> Markup:
    """A user's word, set apart from ours so that its direction of writing ends with it."""
    return Markup("<bdi>{}</bdi>").format(spelled(text))


def spelled(text: object) -> str:
    """A user's word; what would turn the line around or hide in it is shown by its code."""
    return "".join(c if unicodedata.category(c) not in _UNSEEN else f"\\u{ord(c):04x}" for c in str(text))


_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"})

"""Where backbones may come from: the built-in table, or a folder below a configured root. Nothing is fetched."""

from __future__ import annotations

from headstart.demos import DEMO_BACKBONES
from headstart.errors import BadInput, Fault, closest, listing, quote
from headstart.settings import Settings
from headstart.sources import find_folder


def check_source(source: str, settings: Settings) -> None:
    """Refuse what no worker could find. The folders are the worker's: one that is elsewhere judges them itself when it reads them.

    Raises:
        BadInput: `backbone_not_found`; the same for a folder outside the roots and for one that is not there.
    """
    kind, _, rest = source.partition(":")
    if kind == "demo":
        _check_demo(rest)
    elif settings.worker == "here" and find_folder(settings.backbone_roots, rest) is None:
        hint = (
            "The folder must lie below one of HEADSTART_BACKBONE_ROOTS."
            if settings.backbone_roots
            else "HEADSTART_BACKBONE_ROOTS is not set."
        )
        raise _not_found(f"There is no backbone folder {quote(rest)}.", hint)


def _check_demo(name: str) -> None:
    if name not in DEMO_BACKBONES:
        near = closest(name, DEMO_BACKBONES)
        hint = f"Did you mean 'demo:{near[0]}'? " if near else ""
        raise _not_found(f"There is no demo backbone {quote(name)}.", f"{hint}There are: {listing(list(DEMO_BACKBONES))}.")


def _not_found(message: str, hint: str) -> BadInput:
    return BadInput("backbone_not_found", message, hint, (Fault("/source", message),))

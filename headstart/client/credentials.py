"""Where the server is and which key opens it: arguments, then the environment, then the file that `headstart up` writes."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from headstart.errors import BadInput, Denied, HeadstartError, quote

FILE_NAME = "credentials.json"
DEFAULT_HOME = Path("~/.headstart")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A server's address without a slash at the end, and a key for it."""

    url: str
    key: str | None = field(repr=False)


def find_credentials(
    url: str | None = None, key: str | None = None, home: Path | None = None, environment: Mapping[str, str] | None = None
) -> Credentials:
    """Decide on address and key. The one place of the client that reads the environment.

    A key never goes to another address than the one it stands beside: with `url` alone, the file's key is taken when the file names
    that address, and the environment's unless HEADSTART_URL names another.

    Args:
        url: wins over everything.
        key: wins over everything.
        home: folder of an installation on this machine; its file then wins over the environment.
        environment: None: this process's own.

    Raises:
        HeadstartError: `no_credentials`, when nothing says where the server is.
        BadInput: an address, key or file cannot be used.
        Denied: other users can read the credentials file.
    """
    variables = os.environ if environment is None else environment
    named_url, named_key = variables.get("HEADSTART_URL") or None, variables.get("HEADSTART_KEY") or None
    if home is not None:
        named_url = named_key = None
    file = credentials_file(home, variables)

    address = url or named_url
    if key is None and named_key is not None and (url is None or named_url is None or _address(named_url) == _address(url)):
        key = named_key
    if address is None or key is None:
        kept = _read(file)
        if address is None and kept is None:
            raise HeadstartError(
                "no_credentials",
                f"There is no {file} and no HEADSTART_URL.",
                "Start a server with `headstart up`, or set HEADSTART_URL and HEADSTART_KEY.",
            )
        if kept is not None and (address is None or _address(address) == kept.url):
            address, key = kept.url, key if key is not None else kept.key
    return Credentials(_address(address or ""), None if key is None else _secret(key))


def credentials_file(home: Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """The file of an installation's home: the one given, `HEADSTART_HOME`, or the default."""
    variables = os.environ if environment is None else environment
    folder = home if home is not None else Path(variables.get("HEADSTART_HOME") or DEFAULT_HOME)
    return folder.expanduser() / FILE_NAME


def _read(path: Path) -> Credentials | None:
    """The file's address and key; None when there is no file."""
    try:
        with path.open(encoding="utf-8") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise Denied("credentials_exposed", f"Other users can read {path}.", f"Run `chmod 600 {path}`.")
            value = json.load(file)
        return Credentials(_address(value["url"]), _secret(value["key"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BadInput("bad_credentials", f"{path} cannot be read as credentials.", "Run `headstart up` again to write it anew.") from None


def _address(url: str) -> str:
    """`http://host:port/prefix` without a slash at the end, so that equal addresses are equal strings."""
    try:
        parts = urlsplit(url.strip())
        sound = parts.scheme in {"http", "https"} and parts.hostname is not None and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.query or parts.fragment or "@" in parts.netloc:
        raise BadInput("invalid_field", f"{quote(url)} is not the address of a server.", "It looks like http://127.0.0.1:8321.")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _secret(key: str) -> str:
    """A key without the line's end that copying brings along."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise BadInput("invalid_field", "The API key holds characters that no key has.", "A key begins with hs_ and has no spaces.")
    return key

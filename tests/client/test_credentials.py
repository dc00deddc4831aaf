"""Where the client looks for a server and a key, and to whom it never gives a key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headstart.client.credentials import Credentials, find_credentials
from headstart.errors import BadInput, Denied, HeadstartError

URL, OTHER = "http://127.0.0.1:8321", "https://elsewhere.test"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps({"url": URL, "key": "hs_file"}))
    path.chmod(0o600)
    return tmp_path


def test_arguments_win_over_the_environment_and_the_file(home: Path):
    environment = {"HEADSTART_HOME": str(home), "HEADSTART_URL": URL, "HEADSTART_KEY": "hs_env"}
    assert find_credentials(OTHER, "hs_arg", environment=environment) == Credentials(OTHER, "hs_arg")


def test_the_environment_wins_over_the_file(home: Path):
    environment = {"HEADSTART_HOME": str(home), "HEADSTART_URL": OTHER, "HEADSTART_KEY": "hs_env"}
    assert find_credentials(environment=environment) == Credentials(OTHER, "hs_env")


def test_without_a_word_the_file_in_the_home_is_taken(home: Path):
    assert find_credentials(environment={"HEADSTART_HOME": str(home)}) == Credentials(URL, "hs_file")


def test_a_named_home_wins_over_the_environment(home: Path):
    assert find_credentials(home=home, environment={"HEADSTART_URL": OTHER, "HEADSTART_KEY": "hs_env"}) == Credentials(URL, "hs_file")


def test_a_key_is_never_given_to_another_address(home: Path):
    assert find_credentials(OTHER, environment={"HEADSTART_HOME": str(home)}).key is None
    assert find_credentials(OTHER, environment={"HEADSTART_URL": URL, "HEADSTART_KEY": "hs_env", "HEADSTART_HOME": str(home)}).key is None
    assert find_credentials(environment={"HEADSTART_URL": OTHER, "HEADSTART_HOME": str(home)}).key is None


def test_the_same_address_in_another_spelling_gets_its_key(home: Path):
    assert find_credentials(URL.upper().replace("HTTP", "http") + "/", environment={"HEADSTART_HOME": str(home)}).key == "hs_file"


def test_a_key_alone_goes_to_the_address_of_the_file(home: Path):
    assert find_credentials(environment={"HEADSTART_HOME": str(home), "HEADSTART_KEY": "hs_env"}) == Credentials(URL, "hs_env")


def test_no_credentials_at_all_says_what_to_do(tmp_path: Path):
    with pytest.raises(HeadstartError) as caught:
        find_credentials(environment={"HEADSTART_HOME": str(tmp_path)})
    assert caught.value.code == "no_credentials"
    assert "headstart up" in str(caught.value.hint)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o660])
def test_a_file_that_others_can_read_or_change_is_refused(home: Path, mode: int):
    (home / "credentials.json").chmod(mode)
    with pytest.raises(Denied) as caught:
        find_credentials(home=home, environment={})
    assert caught.value.code == "credentials_exposed"
    assert "chmod 600" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", '{"url": 3, "key": "x"}', '{"url": "http://a", "key": null}', '"x"'])
def test_a_broken_file_is_told_without_its_content(home: Path, text: str):
    (home / "credentials.json").write_text(text)
    with pytest.raises(BadInput) as caught:
        find_credentials(home=home, environment={})
    assert caught.value.code == "bad_credentials"


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8321", "ftp://x", "http://", "http://u:p@x", "http://x:99999", "http://x/?a=1", "http://[", " "]
)
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(BadInput):
        find_credentials(url, "hs_x", environment={})


@pytest.mark.parametrize("key", ["", " ", "hs\nx", "hs_ä", "a b"])
def test_what_is_no_key_is_refused_without_showing_it(key: str):
    with pytest.raises(BadInput) as caught:
        find_credentials(URL, key, environment={})
    assert not key.strip() or key not in str(caught.value)


def test_a_key_is_stripped_of_the_line_end_that_copying_brings():
    assert find_credentials(URL, "hs_x\n", environment={}).key == "hs_x"


def test_a_key_has_no_repr():
    assert "hs_x" not in repr(Credentials(URL, "hs_x"))

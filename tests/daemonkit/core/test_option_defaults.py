"""The text of files of defaults, and which file wins."""

from pathlib import PurePosixPath

import pytest

from daemonkit.core.option_defaults import KEYS, Default, DefaultsFile, merged, parse

PLACE = PurePosixPath("/etc/slashetc/options.toml")


def read(text: str) -> DefaultsFile:
    return parse(text.encode(), PLACE, "/home/ann")


def test_endpoints_are_a_string_or_a_list() -> None:
    assert read('endpoints = "https://a:2379,https://b:2379"').values == {
        "endpoints": "https://a:2379,https://b:2379"
    }
    assert read('endpoints = ["unix:///s", "https://b:2379"]').values == {
        "endpoints": "unix:///s,https://b:2379"
    }


def test_paths_are_relative_to_the_file_or_to_the_home() -> None:
    found = read('ca-file = "pki/ca.pem"\ncert-file = "~/user.pem"\nkey-file = "/run/user.key"')
    assert found.values == {
        "ca-file": "/etc/slashetc/pki/ca.pem",
        "cert-file": "/home/ann/user.pem",
        "key-file": "/run/user.key",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("endpoints", "Mend"),
        ("x = 1\ny = \nz = 2", "line 2"),
        ("endpoints = 5", "endpoints = 5: write a string or a list of strings"),
        ("endpoints = [5]", "endpoints = [5]: write a string or a list of strings"),
        ("ca-file = ['a']", "ca-file = ['a']: write a string"),
        ("username = true", "username = True: write a string"),
        ('key-file = "a\\u0000b"', "key-file = "),
        ("username = [" + "[" * 100_000, "Mend"),
    ],
)
def test_a_wrong_file_is_a_problem_with_a_remedy(text: str, said: str) -> None:
    found = read(text)
    assert said in found.problem
    assert found.problem.startswith(f"{PLACE}: ")
    assert found.problem.endswith("Mend the file, or remove it")
    assert found.values == {}


def test_text_that_is_not_utf_8_is_a_problem() -> None:
    assert "utf-8" in parse(b'username = "\xff"', PLACE, "").problem


def test_a_key_that_no_program_has_is_named() -> None:
    found = read('endpoint = "http://a"\nusername = "ann"')
    assert found.values == {"username": "ann"}
    assert found.warning == (f"{PLACE}: ignored the key 'endpoint'; the keys are {', '.join(KEYS)}")
    assert read("").warning == ""


def test_an_earlier_file_wins_key_by_key() -> None:
    found = merged([read('endpoints = "http://a"'), read('endpoints = "http://b"\nca-file="/c"')])
    assert found == {"endpoints": Default("http://a"), "ca-file": Default("/c")}


def test_a_certificate_and_its_key_come_from_one_file() -> None:
    own, hosts = read('cert-file = "/own.pem"'), read('cert-file = "/h.pem"\nkey-file = "/h.key"')
    assert merged([own, hosts]) == {"cert-file": Default("/own.pem")}


def test_an_empty_value_takes_back_what_a_later_file_says() -> None:
    assert merged([read('ca-file = ""'), read('ca-file = "/c"')]) == {}


def test_a_file_with_a_problem_stands_for_what_no_earlier_file_says() -> None:
    found = merged([read('endpoints = "http://a"'), read("x")])
    assert found["endpoints"] == Default("http://a")
    assert set(found) == set(KEYS)
    assert "Mend the file" in found["key-file"].problem

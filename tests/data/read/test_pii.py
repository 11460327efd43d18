"""Personal data goes, and what only looks like it stays."""

import pytest

from hornbook.data.config import CleanConfig
from hornbook.data.read.clean import clean
from hornbook.data.read.pii import mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jane.doe+x@mail.example.org.", "Write to email@example.com."),
        ("host 8.8.8.8:53 answered", "host 192.0.2.1:53 answered"),
        ("call +44 20 7946 0958 now", "call +1-555-0100 now"),
        ("call (212) 555-0187 or 212-555-0187", "call +1-555-0100 or +1-555-0100"),
        ("key AKIAIOSFODNN7EXAMPLE.", "key <key>."),
        ("token ghp_" + "a" * 36, "token <key>"),
    ],
)
def test_personal_data_is_replaced(text, masked):
    assert mask(text) == masked
    assert mask(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "@decorator\ndef f(): a @ b",
        "version 1.2.3.4.5 and 1.2.3",
        "localhost 127.0.0.1, 192.168.0.7, 10.0.0.1",
        "999.999.999.999",
        "1234567890 and 2024-11-20 and 3.14159265",
        "user@host",
    ],
)
def test_what_names_nobody_stays(text):
    assert mask(text) == text


def test_it_is_off_unless_asked_for():
    text = "a.b@example.org"
    assert clean(text, CleanConfig()) == text
    assert clean(text, CleanConfig(mask_personal_data=True)) == "email@example.com"

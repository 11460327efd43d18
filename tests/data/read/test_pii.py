"""Personal data goes, and what only looks like it stays."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.data.read.clean import clean
from hornbook.data.read.config import CleanConfig
from hornbook.data.read.pii import mask

# Made up here, piece by piece, so that no scanner takes them for keys that leaked.
LETTERS = "Ab3" * 30
HEX = "0a1b2c3d" * 8
JWT = ".".join(["eyJ" + "hbGciOiJIUzI1", "eyJ" + "zdWIiOiIxMjM0", "SflKxwRJSMeKKF2Q"])
PRIVATE = (
    "-----BEGIN {0}PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB+/=\n"
    "-----END {0}PRIVATE KEY-----"
)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jane.doe+x@mail.example.org.", "Write to email@example.com."),
        ("<a@b.co>,<c@d.co>", "<email@example.com>,<email@example.com>"),
        ("host 8.8.8.8:53 answered", "host 192.0.2.1:53 answered"),
        ("at 2a00:1450:4001:81b::200e.", "at 2001:db8::1."),
        ("[2606:4700::6810:84e5]:443", "[2001:db8::1]:443"),
        ("call +44 20 7946 0958 now", "call +1-555-0100 now"),
        ("call (212) 555-0187 or 212-555-0187", "call +1-555-0100 or +1-555-0100"),
        ("card 4111 1111 1111 1111, amex 3782-822463-10005", None),
        ("pay to DE89 3704 0044 0532 0130 00 today", "pay to <bank account> today"),
        ("pay to GB82WEST12345698765432.", "pay to <bank account>."),
        ("key AKIAIOSFODNN7EXAMPLE.", "key <key>."),
        ("token ghp_" + "a" * 36, "token <key>"),
        ("github_pat_" + LETTERS[:80], "<key>"),
        ("glpat-" + LETTERS[:20], "<key>"),
        ("OPENAI_API_KEY=sk-proj-" + LETTERS[:48], "OPENAI_API_KEY=<key>"),
        ("xoxb-" + "1234567890-" * 3, "<key>"),
        ("https://hooks.slack.com/services/T0/B0/" + LETTERS[:24], "https://<key>"),
        ("AIza" + LETTERS[:35], "<key>"),
        ("sk_live_" + LETTERS[:24], "<key>"),
        ("hf_" + "aB" * 17, "<key>"),
        ("npm_" + LETTERS[:36], "<key>"),
        (
            "aws_secret_access_key = '" + LETTERS[:40] + "'",
            "aws_secret_access_key = '<key>'",
        ),
        (f"Authorization: Bearer {JWT}", "Authorization: Bearer <key>"),
        ("a " + PRIVATE.format("") + " b", "a <key> b"),
        ("a " + PRIVATE.format("RSA ") + " b", "a <key> b"),
    ],
)
def test_personal_data_is_replaced(text, masked):
    if masked is None:
        masked = "card <card number>, amex <card number>"
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
        "std::vector<int>::iterator, Fa::De::ad, 12:34:56, 2024:11:20",
        "2001:db8::8a2e:370:7334 and fe80::1 and ::1",
        "4111 1111 1111 1112",  # a wrong check digit
        "0.4111111111111111 and 4111111111111111.5",
        "DE89 3704 0044 0532 0130 01",
        "AB12 CDEF GHIJ KLMN",
        "sk-fading-circle sk-cube-grid-of-nine-cubes-that-spin-and-spin",
        "though_he_went gh_pages hf_transfer npm_config_registry",
        f"sha256 {HEX}",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "Decimal('+35236450.6'), push('111 20100914001155'), [5749986484189612790]",
        "f(x) = 10 + 20 + 30; a-1234-5678",
        "111-222-3333 and 212-155-0187",  # no such area, no such exchange
    ],
)
def test_what_names_nobody_stays(text):
    assert mask(text) == text


def test_random_numbers_are_hardly_ever_taken_for_cards():
    dice = random.Random(0)
    numbers = ["".join(dice.choices(string.digits, k=16)) for _ in range(2000)]
    taken = sum(mask(number) != number for number in numbers)
    assert taken < 0.1 * len(
        numbers
    )  # half begin with 2 to 6, a tenth of those is valid


@given(st.text(st.sampled_from("ab@.+-_:/0123456789 (AKIAghp)\n"), max_size=200))
def test_masking_twice_changes_nothing_more(text):
    once = mask(text)
    assert mask(once) == once


@given(st.text(max_size=200))
def test_any_text_can_be_masked(text):
    mask(text)


def test_long_words_cost_no_more_than_long_texts():
    """Each of these took minutes where a pattern began anew at every letter."""
    for piece in ("a", "a.", "a@", "@a.", "1", "1 ", "+1", "2:", "A1", "-----BEGIN "):
        mask(piece * (200_000 // len(piece)))


def test_it_is_off_unless_asked_for():
    text = "a.b@example.org"
    assert clean(text, CleanConfig()) == text
    assert clean(text, CleanConfig(mask_personal_data=True)) == "email@example.com"

"""Masks what identifies people: e-mail addresses, IP addresses, phone numbers, access keys.

Each becomes a value of the same kind that is reserved for examples (RFC 2606, RFC 5737), so
that the text still reads as text. A cheap look for a tell-tale character comes first: most
texts have nothing to mask, and searching them all costs more than cleaning them.
"""

import ipaddress
import re

EMAIL = re.compile(r"\b[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
# International, or North American with its separators: other runs of digits are too common.
PHONE = re.compile(
    r"(?<![\w+])\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}(?!\w)"
    r"|(?<![\w.-])(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}(?![\w-])"
)
KEY = re.compile(
    r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{36}|sk-[A-Za-z0-9_-]{32,}|xox[abpr]-[\w-]{20,})\b"
    r"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[^-]{1,20000}-----END [A-Z ]{0,40}-----"
)
EXAMPLE_EMAIL, EXAMPLE_IP = "email@example.com", "192.0.2.1"
EXAMPLE_PHONE, EXAMPLE_KEY = "+1-555-0100", "<key>"


def mask(text: str) -> str:
    """``text`` with personal data replaced; public and private addresses are told apart."""
    if "@" in text:
        text = EMAIL.sub(EXAMPLE_EMAIL, text)
    if IPV4.search(text):
        text = IPV4.sub(_public_only, text)
    text = PHONE.sub(EXAMPLE_PHONE, text)
    return KEY.sub(EXAMPLE_KEY, text)


def _public_only(match: re.Match[str]) -> str:
    """Private and reserved addresses, and version numbers, name nobody."""
    try:
        public = ipaddress.ip_address(match[0]).is_global
    except ValueError:
        return match[0]
    return EXAMPLE_IP if public else match[0]

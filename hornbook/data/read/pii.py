"""Masks what identifies people or opens doors: addresses, numbers, access keys.

Each becomes a value of the same kind that is reserved for examples (RFC 2606, 5737, 3849), or
a plain placeholder, so that the text still reads as text. What has a check sum is held
against it. A cheap look for a tell-tale character comes first: most texts have nothing to
mask, and searching them all costs more than cleaning them.
"""

import ipaddress
import re

# Python's `re` is fast only for patterns that begin with a plain character or a set of
# them. So what must not stand before a match is looked for behind its first character.
DOMAIN = re.compile(r"@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
LOCAL_PART = re.compile(r"[\w.+-]{1,64}\Z")
NUMBERS = re.compile(r"[0-9][0-9A-Fa-f.:() -]{5}[0-9A-Fa-f.:]")  # every one holds this
IPV4 = re.compile(r"[0-9](?<![\d.][0-9])\d{0,2}(?:\.\d{1,3}){3}(?![\d.])")
# Addresses that are handed out begin with 2 or 3.
IPV6 = re.compile(r"[23](?<![\w:.][23])[0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,34}(?![\w:])")
# International, or North American with its separators: other runs of digits are too common.
PHONES = (
    re.compile(
        r"\+(?<![\w+]\+)\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}(?!\w|\.\d)"
    ),
    re.compile(r"\((?<![\w.-]\()[2-9]\d\d\) ?[2-9]\d\d[.-]\d{4}(?![\w-]|\.\d)"),
    re.compile(r"[2-9](?<![\w.-][2-9])\d\d[.-][2-9]\d\d[.-]\d{4}(?![\w-]|\.\d)"),
)
CARD = re.compile(
    r"[2-6](?<![\w.-][2-6])\d{3}(?:([ -]?)\d{4}\1\d{4}\1\d{4}|([ -]?)\d{6}\2\d{5})"
    r"(?![\w-]|\.\d)"
)
IBAN = re.compile(
    r"[A-Z](?<!\w[A-Z])[A-Z]\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"
)

# What a key begins with -> what follows.
KEYS = {
    **dict.fromkeys(("AKIA", "ASIA"), r"[0-9A-Z]{16}\b"),  # Amazon
    **dict.fromkeys(
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\w{36,255}\b"
    ),  # GitHub
    "github_pat_": r"\w{60,100}\b",
    "glpat-": r"[\w-]{20,}",
    "sk-": r"(?=[\w-]{0,200}\d)(?=[\w-]{0,200}[A-Z])[\w-]{32,200}\b",  # OpenAI and others
    **dict.fromkeys(
        ("xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-"), r"[\w-]{20,}"
    ),  # Slack
    "hooks.slack.com/services/": r"[\w/]{20,}",
    "AIza": r"[\w-]{35}(?![\w-])",  # Google
    "ya29.": r"[\w-]{20,}",
    **dict.fromkeys(("sk_live_", "rk_live_"), r"\w{16,}\b"),  # Stripe
    "hf_": r"[A-Za-z]{34}\b",  # Hugging Face
    "npm_": r"\w{36}\b",
    "eyJ": r"[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",  # JSON web tokens
    "-----BEGIN ": r"(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"[\s\S]{1,20000}?-----END [A-Z0-9 ]{0,40}-----",
}
KEY = {
    mark: re.compile(rf"{re.escape(mark)}(?<![\w]{re.escape(mark)}){rest}")
    for mark, rest in KEYS.items()
}
SECRET = re.compile(
    r"(secret_access_key\W{1,8})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])", re.IGNORECASE
)

EXAMPLE_EMAIL, EXAMPLE_IP, EXAMPLE_IPV6 = (
    "email@example.com",
    "192.0.2.1",
    "2001:db8::1",
)
EXAMPLE_PHONE, EXAMPLE_KEY = "+1-555-0100", "<key>"
EXAMPLE_CARD, EXAMPLE_IBAN = "<card number>", "<bank account>"


def mask(text: str) -> str:
    """``text`` with personal data replaced; public and private addresses are told apart."""
    for mark, pattern in KEY.items():
        if mark in text:
            text = pattern.sub(EXAMPLE_KEY, text)
    if "secret" in text or "SECRET" in text:
        text = SECRET.sub(rf"\1{EXAMPLE_KEY}", text)
    if "@" in text:
        text = _mask_emails(text)
    if not NUMBERS.search(text):
        return text
    text = IPV4.sub(_public_ipv4, text)
    text = IPV6.sub(_public_ipv6, text)
    text = IBAN.sub(_real_account, text)
    text = CARD.sub(_real_card, text)
    for pattern in PHONES:
        text = pattern.sub(_real_phone, text)
    return text


def _mask_emails(text: str) -> str:
    parts, done = [], 0
    for domain in DOMAIN.finditer(text):
        local = LOCAL_PART.search(text, max(done, domain.start() - 64), domain.start())
        if local:
            parts += [text[done : local.start()], EXAMPLE_EMAIL]
            done = domain.end()
    return "".join((*parts, text[done:]))


def _public_ipv4(match: re.Match[str]) -> str:
    return EXAMPLE_IP if _is_public(match[0]) else match[0]


def _public_ipv6(match: re.Match[str]) -> str:
    address = match[0].rstrip(":") if not match[0].endswith("::") else match[0]
    rest = match[0][len(address) :]
    return EXAMPLE_IPV6 + rest if _is_public(address) else match[0]


def _is_public(address: str) -> bool:
    """Private and reserved addresses, and version numbers, name nobody."""
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _real_phone(match: re.Match[str]) -> str:
    """Numbers have 8 to 15 digits (E.164)."""
    digits = sum(c.isdigit() for c in match[0])
    return EXAMPLE_PHONE if 8 <= digits <= 15 else match[0]


def _real_card(match: re.Match[str]) -> str:
    """The Luhn sum of a card's number ends in 0 (ISO/IEC 7812)."""
    digits = [int(c) for c in match[0] if c.isdigit()]
    twice = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    valid = (sum(twice) + sum(digits[::-2])) % 10 == 0 and len(set(digits)) > 1
    return EXAMPLE_CARD if valid else match[0]


def _real_account(match: re.Match[str]) -> str:
    """An IBAN, its first four characters last and letters as numbers, is 1 modulo 97."""
    code = match[0].replace(" ", "")
    number = "".join(str(int(c, 36)) for c in code[4:] + code[:4])
    valid = 15 <= len(code) <= 34 and int(number) % 97 == 1
    return EXAMPLE_IBAN if valid else match[0]

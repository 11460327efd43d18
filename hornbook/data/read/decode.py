"""Bytes of a file to text: which encoding is it, or is it text at all?"""

import codecs
import io
import tokenize
import unicodedata

BYTE_ORDER_MARKS = (  # longest first: UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CONTROL_BYTES = bytes(b for b in range(32) if b not in b"\t\n\r\f\x1b")
ASCII = bytes(range(0x80))
# Western text in a one-byte encoding is mostly ASCII; other alphabets there are mostly not.
MAX_WESTERN_HIGH_SHARE = 0.25


UTF16_SAMPLE = 4096  # characters looked at


class NotText(Exception):
    """The bytes are no text that can be read; the message says why."""


def decode(raw: bytes, suffix: str = "", encoding: str = "") -> tuple[str, str]:
    """The text of ``raw`` and the encoding it was read with: ``encoding`` where it is given.

    Else a byte-order mark decides; then NUL bytes at every other place, for UTF-16 without
    one; then UTF-8; then what a Python file declares; then Windows-1252, where the bytes
    look like Western text. Raises :class:`NotText`.
    """
    if encoding:
        return _strictly(raw, encoding), encoding
    for mark, encoding in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return _strictly(raw, encoding), encoding
    if b"\0" in raw:
        for encoding in ("utf-16-le", "utf-16-be"):
            if (text := _utf16(raw, encoding)) is not None:
                return text, encoding
        raise NotText("binary (it holds NUL bytes)")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return _legacy(raw, suffix, error)
    if _control_share(raw) > 0.01:
        raise NotText("binary (it holds control bytes)")
    return text, "utf-8"


def _utf16(raw: bytes, encoding: str) -> str | None:
    """``raw`` as UTF-16 if it reads like text: blanks or line ends, no odd characters.

    In the other byte order a blank would be U+2000 and most letters ideographs, and
    bytes that are no text give unassigned characters and controls.
    """
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return None
    sample = text[:UTF16_SAMPLE]
    blanks = sum(c in " \n\t\r" for c in sample)
    kinds = {unicodedata.category(c) for c in sample if c not in "\n\t\r\f\x1b"}
    if "\0" in text or kinds & {"Cc", "Cn", "Co"}:
        return None
    return text if blanks >= 0.005 * len(sample) and len(text) > 3 else None


def _legacy(raw: bytes, suffix: str, error: UnicodeDecodeError) -> tuple[str, str]:
    declared = _declared_by_python(raw) if suffix == ".py" else ""
    if declared:
        return _strictly(raw, declared), declared
    high = len(raw.translate(None, ASCII))
    if high <= MAX_WESTERN_HIGH_SHARE * len(raw) and _control_share(raw) <= 0.001:
        try:
            text = raw.decode("cp1252")
        except UnicodeDecodeError:
            pass  # five bytes that Windows-1252 leaves out: some other encoding
        else:
            letters = sum(c.isalpha() for c in text if c >= "\x80")
            punctuation = sum(c in "€‚„…‘’“”•–—™ «»°§©®·¿¡" for c in text)
            if letters + punctuation >= 0.9 * high:
                return text, "cp1252"
    raise NotText(
        f"not UTF-8 nor Windows-1252 (byte {error.start} is {raw[error.start]:#04x}; "
        "see 'encoding')"
    )


def _strictly(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise NotText(f"broken {encoding} ({error})") from None


def _declared_by_python(raw: bytes) -> str:
    """The encoding that a ``# -*- coding: ... -*-`` line names, if it names one."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    except (SyntaxError, UnicodeDecodeError):
        return ""
    return "" if encoding in ("utf-8", "utf-8-sig") else encoding


def _control_share(raw: bytes) -> float:
    without = raw.translate(None, CONTROL_BYTES)
    return (len(raw) - len(without)) / max(len(raw), 1)

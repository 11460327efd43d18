"""Repair mends what is broken and leaves alone what is not, code above all."""

import sysconfig
import unicodedata
from pathlib import Path

import pytest
from ftfy.badness import is_bad
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data.read.clean import (
    SUSPICIOUS,
    SUSPICIOUS_BYTES,
    clean,
    fix_mojibake,
    normalize,
)
from hornbook.data.read.config import CleanConfig
from hornbook.data.read.decode import NotText, decode


@given(st.text())
def test_normalizing_twice_changes_nothing_more(text):
    once = normalize(text)
    assert normalize(once) == once


@given(st.text())
def test_what_normalize_leaves_is_tidy(text):
    tidy = normalize(text)
    assert unicodedata.is_normalized("NFC", tidy)
    assert not set(tidy) & {"\r", "\0", "\x07", "\ufeff", "\x9f"}
    assert not any(line.endswith((" ", "\t")) for line in tidy.split("\n"))
    tidy.encode()  # no lone surrogates


TELL_TALE = st.one_of(
    st.characters(codec="latin-1"),
    st.sampled_from("ŒœÃÂŠŸ€“”‘’•–—…†‡™ЂвЂГўВРСβεΞΟāŽž╔▓│×²ØÙ√≈°ﬁ"),
    st.characters(min_codepoint=0x370, max_codepoint=0x460),
)


@settings(max_examples=500)
@given(st.text(TELL_TALE, max_size=8))
def test_the_quick_looks_miss_nothing_that_ftfy_calls_bad(line):
    if is_bad(line):
        assert SUSPICIOUS.search(line)
        assert SUSPICIOUS_BYTES.search(line.encode())


def test_indentation_tabs_and_quotes_of_code_survive():
    code = (
        "def f(x):\n\tif x:\n\t    return “x” + 'y' + \"z…\"  # don't\n\n\n    pass\n"
    )
    assert clean(code, CleanConfig()) == code


def test_a_whole_library_of_code_still_compiles_to_the_same():
    import ast

    root = Path(sysconfig.get_paths()["stdlib"])
    for name in ("shlex.py", "textwrap.py", "json/decoder.py", "email/header.py"):
        source = (root / name).read_text()
        before, after = ast.parse(source), ast.parse(clean(source, CleanConfig()))
        assert ast.dump(before) == ast.dump(after)


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("schÃ¶n", "schön"),
        ("â€œquotedâ€\x9d â€” dash", "“quoted” — dash"),
        ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "привет"),
        ("schön", "schön"),
        ("a fine line\nschÃ¶n\nüber", "a fine line\nschön\nüber"),
        ("&amp; <b>“x”</b> ﬁ", "&amp; <b>“x”</b> ﬁ"),  # not ours to change
    ],
)
def test_mojibake_is_mended_and_nothing_else(broken, mended):
    assert fix_mojibake(broken) == mended


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a\r\nb\rc\n", "a\nb\nc\n"),
        ("\n\n  x\n\n\n", "  x\n"),
        ("x  \n\ty\t\n", "x\n\ty\n"),
        ("e\u0301", "é"),
        ("\ufeffa\x00b\x0cc", "abc"),
        ("no newline at the end", "no newline at the end"),
        (" " * 100_000, ""),
    ],
)
def test_normalize_examples(given, expected):
    assert normalize(given) == expected


@pytest.mark.parametrize(
    ("raw", "suffix", "text", "encoding"),
    [
        ("grün".encode(), ".txt", "grün", "utf-8"),
        (b"\xef\xbb\xbfgr\xc3\xbcn", ".txt", "grün", "utf-8-sig"),
        ("grün".encode("utf-16"), ".txt", "grün", "utf-16"),
        ("grün".encode("utf-32"), ".txt", "grün", "utf-32"),
        (b"\xfe\xff\x00a", ".txt", "a", "utf-16"),
        ("plain words".encode("utf-16-le"), ".txt", None, "utf-16-le"),
        ("plain words\r\n".encode("utf-16-be"), ".txt", None, "utf-16-be"),
        ("привет, мир".encode("utf-16-le"), ".txt", None, "utf-16-le"),
        ("日本語 テキスト\n".encode("utf-16-be"), ".txt", None, "utf-16-be"),
        ("Die Tür ist grün – „schön“".encode("cp1252"), ".txt", None, "cp1252"),
        ("# -*- coding: koi8-r -*-\nx = 'да'".encode("koi8-r"), ".py", None, "koi8-r"),
        (b"", ".txt", "", "utf-8"),
    ],
)
def test_encodings_are_recognised(raw, suffix, text, encoding):
    found, used = decode(raw, suffix)
    assert used == encoding
    assert found == (raw.decode(encoding) if text is None else text)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\x7fELF\x02\x01\x01\0",
        bytes(range(128, 256)) * 10,
        "привет, как дела".encode("koi8-r"),  # one byte per letter: no way to be sure
        "日本語テキスト".encode("shift_jis"),
        b"\xff\xfe\x00",  # half a UTF-16 character
        b"\x01\x02\x03\x04 almost text",
    ],
)
def test_what_is_no_text_is_refused_with_a_reason(raw):
    with pytest.raises(NotText, match=r"\w"):
        decode(raw)


@given(st.binary(min_size=40, max_size=400))
def test_binary_is_hardly_ever_taken_for_utf16(raw):
    raw = raw + b"\0" * 40
    with pytest.raises(NotText):
        decode(raw)


@given(st.text(st.characters(max_codepoint=0x2FF, categories=["L"]), min_size=4))
def test_utf16_without_a_mark_is_read_in_either_order(word):
    text = f"{word} {word}\n"
    for encoding in ("utf-16-le", "utf-16-be"):
        raw = text.encode(encoding)
        if b"\0" in raw and b"\x0e" not in raw:
            assert decode(raw) == (text, encoding)

"""Programming languages, held against the file names that Pygments knows."""

import pytest
from pygments.lexers import find_lexer_class_for_filename

from hornbook.data.read.languages import ENDINGS, LANGUAGES, language_of

# Endings that several languages share, or whose dialect Pygments names apart.
OTHER_NAMES = {
    *(
        "S",
        "asm",
        "bib",
        "cbl",
        "cljs",
        "f",
        "F",
        "fs",
        "jsx",
        "lhs",
        "m",
        "phtml",
        "pl",
    ),
    *("pm", "r", "s", "scss", "sql", "sv", "svh", "tsx", "vim", "xsl", "xslt"),
}


def test_endings_mean_what_pygments_says_they_mean():
    checked, wrong = 0, set()
    for language, endings in ENDINGS.items():
        for ending in endings.split():
            if lexer := find_lexer_class_for_filename(f"file.{ending}"):
                checked += 1
                names = {lexer.name.lower(), *lexer.aliases}
                if not names & {language, language.replace("-", " ")}:
                    wrong.add(ending)
    assert checked > 130
    assert wrong <= OTHER_NAMES


@pytest.mark.parametrize(
    ("path", "head", "language"),
    [
        ("a/b.py", "", "python"),
        ("A.PY", "", "python"),
        ("x.C", "", "c++"),
        ("x.c", "", "c"),
        ("Makefile", "", "makefile"),
        ("GNUmakefile", "", "makefile"),
        ("Dockerfile", "", "dockerfile"),
        ("CMakeLists.txt", "", "cmake"),
        ("bin/run", "#!/usr/bin/env python3\n", "python"),
        ("bin/run", "#!/usr/bin/env -S python3.11 -u\n", "python"),
        ("bin/run", "#! /bin/bash -e\n", "shell"),
        ("bin/run", "#!/usr/local/bin/perl5.36\n", "perl"),
        ("bin/run", "#!/opt/strange\n", ""),
        ("bin/run", "plain words", ""),
        ("x.h", "#include <a.h>\nint f(void);\n", "c"),
        ("x.h", "#pragma once\nnamespace a {\n", "c++"),
        ("x.h", "#import <Foundation/Foundation.h>\n@interface A\n", "objective-c"),
        ("x.m", "#import <Foundation/Foundation.h>\n", "objective-c"),
        ("x.m", "function y = f(x)\n", "matlab"),
        ("x.pl", "use strict;\n", "perl"),
        ("x.pl", ":- module(a, []).\n", "prolog"),
        ("x.png", "", ""),
        ("LICENSE", "", "text"),
        ("", "", ""),
    ],
)
def test_names_first_lines_and_shared_endings(path, head, language):
    assert language_of(path, head) == language
    assert not language or language in LANGUAGES


def test_every_ending_belongs_to_one_language():
    endings = [e for all_ in ENDINGS.values() for e in all_.split()]
    assert len(endings) == len(set(endings))

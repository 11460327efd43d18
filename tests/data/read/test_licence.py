"""Licences: real licence files are recognised, others are honestly unknown."""

from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.data.read.licence import (
    UNKNOWN,
    is_allowed,
    is_licence_file,
    licence_of_folder,
    licence_of_source,
    licence_of_text,
)

ROOT = Path(__file__).parents[3]


def declared_licences():
    """(declared SPDX id, text of its one licence file) of every installed package."""
    for package in metadata.distributions():
        files = [
            f
            for f in package.files or []
            if ".dist-info" in f.parts[0] and is_licence_file(f.name)
        ]
        declared = package.metadata.get("License-Expression", "")
        if len(files) == 1 and declared and " " not in declared:
            text = Path(str(package.locate_file(files[0]))).read_text(errors="replace")
            yield package.name, declared, text


def test_what_packages_declare_is_what_their_licence_files_say():
    agree, disagree = [], []
    for name, declared, text in declared_licences():
        found = licence_of_text(text)
        (agree if found == declared else disagree).append((name, declared, found))
    assert len(agree) >= 15
    assert len(disagree) <= len(agree) / 6, disagree  # bundled code adds licences


def test_its_own_licence():
    assert licence_of_text((ROOT / "LICENSE").read_text()) == "Apache-2.0"


@pytest.mark.parametrize(
    "text",
    ["", "All rights reserved.", "You may use this if you buy me a beer.", "MIT"],
)
def test_what_it_does_not_know_is_unknown(text):
    assert licence_of_text(text) == UNKNOWN


MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining\n"
    "a copy of this software ... The above copyright notice and this permission\n"
    "notice shall be included in all copies or substantial portions.\n"
)
APACHE = "Licensed under the Apache License, Version 2.0 (the License)"
LGPL3 = "GNU LESSER GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007"
GPL3 = "GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007"


@pytest.mark.parametrize(
    ("files", "licence"),
    [
        ({"LICENSE": MIT}, "MIT"),
        ({"LICENSE-MIT": MIT, "LICENSE-APACHE": APACHE}, "Apache-2.0 OR MIT"),
        (
            {"LICENSE": "one of:", "LICENSE.MIT": MIT, "LICENSE.APACHE": APACHE},
            "Apache-2.0 OR MIT",
        ),
        ({"LICENSE": MIT + APACHE + MIT}, "MIT"),
        ({"LICENSE": MIT, "COPYING": GPL3}, "GPL-3.0 AND MIT"),
        ({"COPYING": GPL3, "COPYING.LESSER": LGPL3}, "LGPL-3.0"),
        ({"LICENSE": "SPDX-License-Identifier: Zlib\n"}, "Zlib"),
        ({"LICENSE": "proprietary"}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
def test_the_licence_files_of_a_folder_together(files, licence):
    assert licence_of_folder(files) == licence


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("LICENSE", True),
        ("LICENCE.md", True),
        ("COPYING.LESSER", True),
        ("LICENSE-MIT", True),
        ("UNLICENSE", True),
        ("MIT-LICENSE.txt", True),
        ("license.py", False),
        ("licenses.json", False),
        ("README", False),
        ("licensed_users.txt", False),
    ],
)
def test_licence_files_are_known_by_name(name, is_one):
    assert is_licence_file(name) is is_one


@pytest.mark.parametrize(
    ("head", "licence"),
    [
        ("# SPDX-License-Identifier: MIT\nimport x", "MIT"),
        ("/* SPDX-License-Identifier: GPL-2.0-only */", "GPL-2.0-only"),
        ("<!-- SPDX-License-Identifier: CC0-1.0 -->", "CC0-1.0"),
        (
            "// SPDX-License-Identifier: (MIT OR Apache-2.0) AND ISC\n",
            "(MIT OR Apache-2.0) AND ISC",
        ),
        (
            "# SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note and more",
            "GPL-2.0 WITH Linux-syscall-note",
        ),
        ("import x", "BSD-3-Clause"),
        ("x" * 5000 + "SPDX-License-Identifier: MIT", "BSD-3-Clause"),
    ],
)
def test_a_files_own_line_goes_before_its_folders_licence(head, licence):
    assert licence_of_source(head, "BSD-3-Clause") == licence


@pytest.mark.parametrize(
    ("licence", "allowed", "fulfilled"),
    [
        ("MIT", (), True),
        ("MIT", ("MIT",), True),
        ("mit", ("MIT",), True),
        ("GPL-3.0-or-later", ("MIT",), False),
        ("GPL-3.0-or-later", ("GPL-3.0",), True),
        ("GPL-2.0+", ("GPL-2.0",), True),
        ("MIT OR GPL-3.0", ("MIT",), True),
        ("MIT AND GPL-3.0", ("MIT",), False),
        ("MIT AND Zlib OR ISC", ("ISC",), True),
        ("MIT AND (Zlib OR ISC)", ("ISC",), False),
        ("MIT AND (Zlib OR ISC)", ("ISC", "MIT"), True),
        ("Apache-2.0 WITH LLVM-exception", ("Apache-2.0",), True),
        ("unknown", ("MIT",), False),
        ("unknown", ("unknown",), True),
        ("(MIT", ("MIT",), False),
        ("MIT MIT", ("MIT",), False),
        ("OR", ("MIT",), False),
    ],
)
def test_expressions_are_held_against_the_allowed(licence, allowed, fulfilled):
    assert is_allowed(licence, allowed) is fulfilled


NAMES = st.sampled_from(["MIT", "ISC", "Zlib", "GPL-3.0"])
EXPRESSIONS = st.recursive(
    NAMES.map(lambda name: (name, lambda allowed: name in allowed)),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(
            lambda two: (
                f"({two[0][0]} OR {two[1][0]})",
                lambda allowed: two[0][1](allowed) or two[1][1](allowed),
            )
        ),
        st.tuples(inner, inner).map(
            lambda two: (
                f"({two[0][0]} AND {two[1][0]})",
                lambda allowed: two[0][1](allowed) and two[1][1](allowed),
            )
        ),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS, st.sets(NAMES, min_size=1))
def test_any_expression_means_what_its_operators_mean(expression, allowed):
    text, meaning = expression
    assert is_allowed(text, tuple(allowed)) is meaning(allowed)


@given(st.text(max_size=80))
def test_any_text_may_stand_behind_the_identifier(text):
    is_allowed(licence_of_source(f"SPDX-License-Identifier: {text}", ""), ("MIT",))

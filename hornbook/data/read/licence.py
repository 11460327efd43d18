"""Which licence a text is under: SPDX ids from licence files and from lines that name one.

A small, honest detector: it knows the common licences by sentences that only they hold, and
says ``unknown`` for everything else. It is no legal advice. The ids: https://spdx.org/licenses
"""

import re

UNKNOWN = "unknown"
LICENCE_NAME = re.compile(
    r"(un)?licen[cs]e|(un)?licen[cs]e[-_.].*|copying|copying[-_.].*|.*[-_.]licen[cs]e(\.\w+)?",
    re.IGNORECASE,
)
NOT_A_LICENCE_FILE = re.compile(
    r"\.(py|js|ts|c|h|go|rs|java|html|json|ya?ml|png)$", re.I
)
IDENTIFIER = re.compile(r"SPDX-License-Identifier:\s*([\w.+() -]{1,200})")
NAMED_APART = re.compile(r"(licen[cs]e|copying)[-_.](?!txt|md|rst)\w+", re.IGNORECASE)
MAX_LICENCE_BYTES = 1 << 18
HEAD = 4000  # characters of a source file in which a licence line is looked for

# Each: sentences it holds, all of them, and sentences it must not hold. Lower case, blanks
# for all white space and punctuation but the hyphen, see `_plain`.
MARKS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "MIT": (
        (
            "permission is hereby granted free of charge to any person obtaining a copy",
            "this permission notice",
            "shall be included in all copies",
        ),
        ("except as contained in this notice",),
    ),
    "X11": (
        (
            "permission is hereby granted free of charge to any person obtaining a copy",
            "except as contained in this notice",
        ),
        (),
    ),
    "MIT-0": (
        ("permission is hereby granted free of charge to any person obtaining a copy",),
        ("shall be included in all copies", "bear this notice", "in all copies"),
    ),
    "ISC": (
        (
            "for any purpose with or without fee is hereby granted",
            "notice appear in all copies",
        ),
        ("both that copyright notice", "in supporting documentation"),
    ),
    "0BSD": (
        ("for any purpose with or without fee is hereby granted",),
        ("appear in all copies",),
    ),
    "BSD-2-Clause": (
        (
            "redistribution and use in source and binary forms",
            "redistributions in binary form must reproduce",
        ),
        ("endorse or promote", "all advertising materials"),
    ),
    "BSD-3-Clause": (
        ("redistribution and use in source and binary forms", "endorse or promote"),
        ("all advertising materials", "mozilla", "apache"),
    ),
    "BSD-4-Clause": (
        (
            "redistribution and use in source and binary forms",
            "all advertising materials",
        ),
        (),
    ),
    "Apache-2.0": (
        ("apache license version 2 0 january 2004", "grant of patent license"),
        (),
    ),
    "GPL-2.0": (("gnu general public license version 2 june 1991",), ()),
    "GPL-3.0": (("gnu general public license version 3 29 june 2007",), ()),
    "LGPL-2.0": (("gnu library general public license version 2 june 1991",), ()),
    "LGPL-2.1": (
        ("gnu lesser general public license version 2 1 february 1999",),
        (),
    ),
    "LGPL-3.0": (("gnu lesser general public license version 3 29 june 2007",), ()),
    "AGPL-3.0": (("gnu affero general public license version 3 19 november 2007",), ()),
    "MPL-1.1": (("mozilla public license version 1 1",), ("version 2 0",)),
    "MPL-2.0": (("mozilla public license version 2 0", "covered software"), ()),
    "EPL-1.0": (("eclipse public license - v 1 0",), ()),
    "EPL-2.0": (("eclipse public license - v 2 0",), ()),
    "CDDL-1.0": (("common development and distribution license cddl version 1 0",), ()),
    "BSL-1.0": (("boost software license - version 1 0",), ()),
    "Zlib": (
        ("altered source versions must be plainly marked", "provided as-is"),
        (),
    ),
    "Unlicense": (("this is free and unencumbered software released into",), ()),
    "WTFPL": (("do what the fuck you want to public license",), ()),
    "CC0-1.0": (("cc0 1 0 universal",), ()),
    "CC-BY-3.0": (("attribution 3 0 unported",), ("noncommercial", "sharealike 3")),
    "CC-BY-4.0": (("creative commons attribution 4 0 international",), ()),
    "CC-BY-SA-3.0": (("attribution-sharealike 3 0 unported",), ()),
    "CC-BY-SA-4.0": (("attribution-sharealike 4 0 international",), ()),
    "CC-BY-NC-4.0": (("attribution-noncommercial 4 0 international",), ()),
    "PSF-2.0": (("python software foundation license version 2",), ()),
    "Artistic-2.0": (("the artistic license 2 0",), ()),
    "OFL-1.1": (("sil open font license version 1 1",), ()),
    "PostgreSQL": (("without a written agreement is hereby granted",), ()),
}

# Short notices that stand for a whole text, for files that hold none of the above.
NOTICES = {
    "Apache-2.0": re.compile(r"licensed under the apache license version 2 0"),
    "MPL-2.0": re.compile(
        r"subject to the terms of the mozilla public license v(ersion)? 2 0"
    ),
}


def is_licence_file(name: str) -> bool:
    """Whether a file of this name holds a licence, as LICENSE, COPYING.LESSER, LICENSE-MIT."""
    return bool(LICENCE_NAME.fullmatch(name)) and not NOT_A_LICENCE_FILE.search(name)


def licence_of_text(text: str) -> str:
    """The SPDX id of a licence's text; several found in one are joined by AND."""
    plain = _plain(text)
    found = [
        name
        for name, (needed, forbidden) in MARKS.items()
        if all(mark in plain for mark in needed)
        and not any(mark in plain for mark in forbidden)
    ]
    if not found:
        found = [name for name, notices in NOTICES.items() if notices.search(plain)]
    if not found and (named := IDENTIFIER.search(text)):
        return _tidy(named[1])
    return " AND ".join(found) or UNKNOWN


def licence_of_folder(texts: dict[str, str]) -> str:
    """The licence that the licence files of one folder, by name, state together.

    Files for one licence each, as LICENSE-MIT and LICENSE-APACHE, leave the choice; the
    LGPL comes with the GPL it adds to; otherwise all of them hold.
    """
    found = {name: licence_of_text(text) for name, text in texts.items()}
    known = sorted({licence for licence in found.values() if licence != UNKNOWN})
    if any(licence.startswith("LGPL-3.0") for licence in known):
        known = [licence for licence in known if not licence.startswith("GPL-3.0")]
    apart = [name for name in found if NAMED_APART.match(name)]
    named_apart = len(apart) == len([n for n in found if found[n] != UNKNOWN])
    return (" OR " if named_apart else " AND ").join(known) or UNKNOWN


def licence_of_source(head: str, around: str) -> str:
    """A source file's licence: the one its first lines name, or the one ``around`` it."""
    named = IDENTIFIER.search(head, 0, HEAD)
    if named:
        return _tidy(named[1])
    return around or UNKNOWN


def is_allowed(licence: str, allowed: tuple[str, ...]) -> bool:
    """Whether an SPDX expression can be fulfilled with the ``allowed`` ids; () allows all.

    Of an OR one side suffices, of an AND both are needed. ``GPL-3.0`` allows ``-only`` and
    ``-or-later`` as well; an exception (WITH) only ever allows more.
    """
    if not allowed:
        return True
    known = {_base(name) for name in allowed} | {name.lower() for name in allowed}
    tokens = re.findall(r"[()]|[^\s()]+", licence)
    value, rest = _either(tokens, known)
    return value and not rest


def _either(tokens: list[str], allowed: set[str]) -> tuple[bool, list[str]]:
    value, tokens = _both(tokens, allowed)
    while tokens and tokens[0].upper() == "OR":
        other, tokens = _both(tokens[1:], allowed)
        value = value or other
    return value, tokens


def _both(tokens: list[str], allowed: set[str]) -> tuple[bool, list[str]]:
    value, tokens = _one(tokens, allowed)
    while tokens and tokens[0].upper() == "AND":
        other, tokens = _one(tokens[1:], allowed)
        value = value and other
    return value, tokens


def _one(tokens: list[str], allowed: set[str]) -> tuple[bool, list[str]]:
    if not tokens:
        return False, []
    if tokens[0] == "(":
        value, rest = _either(tokens[1:], allowed)
        return (value, rest[1:]) if rest[:1] == [")"] else (False, ["unclosed"])
    name, rest = tokens[0], tokens[1:]
    if len(rest) > 1 and rest[0].upper() == "WITH":
        rest = rest[2:]
    return name.lower() in allowed or _base(name) in allowed, rest


def _base(licence: str) -> str:
    return re.sub(r"(-only|-or-later|\+)$", "", licence.lower())


def _tidy(expression: str) -> str:
    """An identifier line without what closes the comment it stands in."""
    words = expression.replace("(", " ( ").replace(")", " ) ").split()
    kept: list[str] = []
    for word in words:
        joins = word in ("OR", "AND", "WITH")
        if word in "()" or joins or not kept or kept[-1] in ("(", "OR", "AND", "WITH"):
            kept.append(word)
        else:
            break
    return " ".join(kept).replace("( ", "(").replace(" )", ")").strip(" -.") or UNKNOWN


def _plain(text: str) -> str:
    return " ".join(
        re.sub(r"[^a-z0-9-]+", " ", text[:MAX_LICENCE_BYTES].lower()).split()
    )

"""Settings of the filter: rules as they were published, and Hornbook's own."""

from typing import Literal

from hornbook.core.settings import (
    Count,
    Fraction,
    NonNegative,
    NonNegativeFloat,
    Settings,
)


class GopherQuality(Settings, frozen=True):
    """Is it prose? Rae et al. 2021, appendix A.1.1. Words are split at white space."""

    min_words: NonNegative = 50
    max_words: Count = 100_000
    min_mean_word_length: NonNegativeFloat = 3.0
    max_mean_word_length: NonNegativeFloat = 10.0
    max_hashes_per_word: NonNegativeFloat = 0.1
    max_ellipses_per_word: NonNegativeFloat = 0.1
    max_bullet_lines: Fraction = 0.9
    max_ellipsis_lines: Fraction = 0.3
    min_alphabetic_words: Fraction = 0.8
    # different ones of eight English words; 0 for other languages
    min_stop_words: NonNegative = 2


class GopherRepetition(Settings, frozen=True):
    """Is much of it said twice? Rae et al. 2021, table A1; shares of lines or characters."""

    max_repeated_lines: Fraction = 0.30
    max_repeated_paragraphs: Fraction = 0.30
    max_repeated_line_characters: Fraction = 0.20
    max_repeated_paragraph_characters: Fraction = 0.20
    # of 2, 3 and 4 words
    max_top_ngrams: tuple[Fraction, Fraction, Fraction] = (0.20, 0.18, 0.16)
    # of 5 to 10 words
    max_repeated_ngrams: tuple[
        Fraction, Fraction, Fraction, Fraction, Fraction, Fraction
    ] = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)


class C4(Settings, frozen=True):
    """Lines and pages of C4, Raffel et al. 2020, with the numbers of the code that made it."""

    min_sentences: NonNegative = 3
    drop_lines: bool = True  # short ones, and those about cookies, terms and JavaScript
    closed_lines_only: bool = True  # drop lines that do not end like a sentence


class FineWeb(Settings, frozen=True):
    """Lists, menus and fragments: Penedo et al. 2024, section 3.6.

    For repeated characters the paper says 0.1 and the code that made the data 0.01.
    """

    min_closed_lines: Fraction = 0.12
    max_short_lines: Fraction = 0.67
    max_repeated_characters: Fraction = 0.01
    max_newlines_per_word: NonNegativeFloat = 0.3


class WebLines(Settings, frozen=True):
    """Lines of pages that are no prose: capitals, counters, single words, "sign-in".

    Penedo et al. 2023 (RefinedWeb), appendix G.2, with the numbers of Li et al. 2024 (DCLM).
    """

    # of the document's words: more, and it goes; else only the lines go
    max_flagged_words: Fraction = 0.05
    max_uppercase: Fraction = 0.5  # of a line's characters
    drop_lines: bool = True


class Code(Settings, frozen=True):
    """Is it code that a person wrote and would read? Asked only of source code, by its name.

    Line lengths and letters: Kocetkov et al. 2022 (The Stack), Li et al. 2023 (StarCoder);
    encoded data: Lozhkov et al. 2024 (StarCoder 2). The last four are Hornbook's own.
    """

    max_mean_line_length: NonNegativeFloat = 100.0  # characters
    max_line_length: NonNegativeFloat = 1000.0  # characters
    min_alphanumeric: Fraction = 0.25  # of all characters
    max_encoded: Fraction = 0.5  # of the characters: in base64 or hexadecimal runs
    max_encoded_run: NonNegative = 1024  # characters
    max_numbers: Fraction = 0.5  # of letters and digits: in numbers, as tables are
    min_white_space: Fraction = 0.03  # of the characters: less is minified
    # lock files, vendored folders, minified and generated files
    drop_by_name: bool = True
    drop_notebooks: bool = True  # whose file is JSON, with outputs and pictures in it


class Boilerplate(Settings, frozen=True):
    """Lines that are cut before any rule looks: what a site says on every page.

    A line of source code is never cut.
    """

    # so many of one source may hold a line; in more of them it is cut
    max_documents: Count = 10
    min_characters: Count = 20  # shorter lines may repeat, as headings do
    notices: bool = True  # short lines about cookies, newsletters, sharing, copyright
    # so many lines of at most 3 words in a row; 0: never
    navigation_run: NonNegative = 6


class FilterConfig(Settings, frozen=True):
    """Rules a document must pass; each names the reason it gives when it does not.

    ``preset`` switches on published rules beside the plain ones: ``gopher`` (quality and
    repetition), ``c4``, ``fineweb`` (Gopher, C4 without its rule about final punctuation,
    and FineWeb's own), ``refinedweb`` and ``dclm`` (Gopher, and rules about lines) for web
    prose, ``code`` for source code. A table of a rule's name overrides its numbers. ``keep``
    is a rule of one's own over any stored number, as in ``words > 100 and digit_share < 0.1``.
    """

    enabled: bool = True
    preset: Literal[
        "plain", "gopher", "c4", "fineweb", "refinedweb", "dclm", "code"
    ] = "plain"
    # what rules count: runs without a blank
    words: Literal["whitespace"] = "whitespace"
    # which numbers are stored: all of them cost more time
    statistics: Literal["asked", "all"] = "asked"
    min_bytes: NonNegative = 200
    max_bytes: Count = 10_000_000
    # a comment at the top says that a program wrote the file
    drop_generated: bool = True
    max_digit_share: Fraction = 0.2  # of visible characters: tables of numbers
    max_symbol_share: Fraction = 0.33  # neither letters nor digits: tables, ASCII art
    max_word_length: Count = 1000  # ASCII without a space: base64, minified scripts
    max_duplicate_lines: Fraction = 0.5  # of the characters: in lines seen before
    languages: tuple[str, ...] = ()  # ("en", "de"): keep only these; empty: all
    min_language_score: Fraction = 0.65
    languages_of_code: bool = False  # else source code, by its name, is asked for none
    url_blocklist: tuple[str, ...] = ()  # files: a domain or part of an address a line
    word_blocklist: tuple[str, ...] = ()  # files: a word or phrase a line
    max_blocked_words: NonNegative = 0  # of the lists' in one document; C4 allows none
    max_blocked_word_share: Fraction = 1.0  # of its words
    built_in_lists: bool = True  # a short one against adult and spam pages of the web
    max_spam_phrases: NonNegative = 2  # of the built-in list in one page
    boilerplate: Boilerplate | None = None
    gopher_quality: GopherQuality | None = None
    gopher_repetition: GopherRepetition | None = None
    c4: C4 | None = None
    fineweb: FineWeb | None = None
    web_lines: WebLines | None = None
    code: Code | None = None
    keep: str = ""

"""IFEval's checks: the same verdicts as the published checkers give, on crafted answers."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.evaluate.instructions import CHECKS, followed
from hornbook.evaluate.sentences import count_sentences

# Each kind with arguments as the set has them, and answers at the edge of right and wrong.
CASES = {
    "keywords:existence": (
        [{"keywords": ["mom", "a.b"]}],
        ["Mom axb", "mom only", "MOMMY A.B", ""],
    ),
    "keywords:frequency": (
        [
            {"keyword": "war ", "frequency": 2, "relation": "at least"},
            {"keyword": "war", "frequency": 2, "relation": "less than"},
        ],
        ["War and warm", "war", "WAR war WAR", "peace"],
    ),
    "keywords:forbidden_words": (
        [{"forbidden_words": ["rock", "the"]}],
        ["rocks there", "Rock", "a rock.", "other"],
    ),
    "keywords:letter_frequency": (
        [
            {"letter": "T", "let_frequency": 3, "let_relation": "at least"},
            {"letter": "t", "let_frequency": 3, "let_relation": "less than"},
        ],
        ["Tttt", "that", "to", "ttt"],
    ),
    "language:response_language": (
        [{"language": "kn"}, {"language": "fr"}, {"language": "mr"}],
        [
            "ಕನ್ನಡ ಭಾಷೆ ಬಹಳ ಸುಂದರವಾಗಿದೆ ಮತ್ತು ಹಳೆಯದು",
            "Je voudrais une tasse de café, s'il vous plaît.",
            "मला मराठी भाषा खूप आवडते आणि ती सुंदर आहे",
            "12345 67",
        ],
    ),
    "length_constraints:number_paragraphs": (
        [{"num_paragraphs": 2}],
        ["a\n***\nb", "a *** b ***", "a", "***a***b", "a *** *** b", "*** ***"],
    ),
    "length_constraints:number_words": (
        [
            {"num_words": 3, "relation": "at least"},
            {"num_words": 3, "relation": "less than"},
        ],
        ["a-b c", "don't", "one two", "a b c d"],
    ),
    "length_constraints:nth_paragraph_first_word": (
        [{"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Weekend"}],
        [
            "a\n\nweekend b",
            "a\n\n\"Weekend's over",
            "a\n\n'weekend. b",
            "a\n\nweekends",
            "a\n\n\n\nweekend",
            "weekend\n\nb",
            "a\n\n'\"weekend?",
        ],
    ),
    "detectable_content:number_placeholders": (
        [{"num_placeholders": 2}],
        ["[a] [b]", "[a [b]]", "[]", "[a]\n[b\n]"],
    ),
    "detectable_content:postscript": (
        [{"postscript_marker": m} for m in ("P.S.", "P.P.S", "Note:")],
        ["x\nP.S. y", "p. s. z", "P.P.S z", "p.p. s", "PS y", "note: z", "P. P. S z"],
    ),
    "detectable_format:number_bullet_lists": (
        [{"num_bullets": 2}],
        ["* a\n* b", "- a\n * b", "** a\n* b", "* a\n- b\n- c", "*a\n-b", "--\n*"],
    ),
    "detectable_format:constrained_response": (
        [{}],
        [
            "My answer is yes.",
            "So: My answer is maybe. Yes.",
            "my answer is no.",
            "yes",
        ],
    ),
    "detectable_format:number_highlighted_sections": (
        [{"num_highlights": 2}],
        ["*a* *b*", "**a**", "** ** *b*", "*a*b*", "**a** c", "****", "***a***"],
    ),
    "detectable_format:multiple_sections": (
        [{"section_spliter": "Section", "num_sections": 2}],
        ["Section 1 a Section 2 b", "Section1\nSection2", "SECTION 1", "Section A"],
    ),
    "detectable_format:json_format": (
        [{}],
        [
            '{"a": 1}',
            '```json\n{"a": [1]}\n```',
            "{a: 1}",
            "```\n3\n```",
            "text",
            "NaN",
        ],
    ),
    "detectable_format:title": (
        [{}],
        ["<<a>>", "<<>>", "<< >>", "<<a\nb>>", "<<<x>>>", "x"],
    ),
    "combination:two_responses": (
        [{}],
        [
            "a******b",
            "a******a ",
            "a",
            "******a******b",
            "a************b",
            "a******b******",
        ],
    ),
    "combination:repeat_prompt": (
        [{"prompt_to_repeat": "Write It. "}],
        [" write it. Yes", "Yes. Write it.", "write  it."],
    ),
    "startend:end_checker": (
        [{"end_phrase": "Any other questions? "}],
        ["x any other QUESTIONS?", 'x "Any other questions?"', "Any other questions?!"],
    ),
    "startend:quotation": ([{}], ['"a"', ' "a" ', '"', "'a'", '"a', '"a" b']),
    "change_case:capital_word_frequency": (
        [
            {"capital_frequency": 2, "capital_relation": "at least"},
            {"capital_frequency": 2, "capital_relation": "less than"},
        ],
        ["I DON'T", "A-B c", "Go HOME", "NASA, ESA", "all low", "U.S. I."],
    ),
    "change_case:english_capital": (
        [{}],
        ["THIS IS A PLAIN ENGLISH SENTENCE ABOUT THE WEATHER", "This Is", "123"],
    ),
    "change_case:english_lowercase": (
        [{}],
        ["this is a plain english sentence about the weather", "this Is", "123"],
    ),
    "punctuation:no_comma": ([{}], ["a, b", "a b", "a，b"]),
}
WRAPPED = ("{}", "Sure!\n{}", "{}\nBye, now", "Sure!\n{}\nBye, now", "*{}*")


@pytest.fixture(scope="module")
def published():
    """lm-eval's checkers; its word splitter as it is on one sentence, which takes no data."""
    pytest.importorskip("langdetect").DetectorFactory.seed = 0
    nltk = pytest.importorskip("nltk")
    pytest.importorskip("immutabledict")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nltk.data, "find", lambda name: name)  # nothing is downloaded
        utils = pytest.importorskip("lm_eval.tasks.ifeval.utils")
    word_tokenize = nltk.word_tokenize
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            nltk, "word_tokenize", lambda text: word_tokenize(text, preserve_line=True)
        )
        yield utils


def verdicts(utils, kind, arguments, text):
    asked = utils.InputExample(1, [kind], "", [arguments])
    return [
        judge(asked, text).follow_instruction_list[0]
        for judge in (
            utils.test_instruction_following_strict,
            utils.test_instruction_following_loose,
        )
    ]


@pytest.mark.parametrize("kind", CASES)
def test_verdicts_are_those_of_the_published_checkers(published, kind):
    seen = set()
    for arguments, answer, wrap in itertools.product(*CASES[kind], WRAPPED):
        text = wrap.format(answer)
        expected = verdicts(published, kind, arguments, text)
        found = [followed(text, kind, arguments, loose) for loose in (False, True)]
        assert found == expected, (arguments, text)
        seen.add(tuple(found))
    assert {(True, True), (False, False)} <= seen  # the cases tell right from wrong


def test_every_kind_is_held_against_them_but_sentences():
    assert set(CHECKS) - set(CASES) == {"length_constraints:number_sentences"}


PIECES = [
    "*",
    "**",
    "***",
    "******",
    "\n",
    "\n\n",
    " ",
    "-",
    "a",
    "Word",
    "[x]",
    "<<",
    ">>",
]
PIECES += [
    '"',
    "'",
    ",",
    ".",
    "P.S.",
    "p. p. s",
    "Section 1",
    "yes",
    "{",
    "}",
    "1",
    "É",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_any_text_is_judged_alike(published, text):
    for kind, (arguments, _) in CASES.items():
        if "english" in kind or "language" in kind:  # slow, and chance on scraps
            continue
        given_ = random.Random(text).choice(arguments)
        found = [followed(text, kind, given_, loose) for loose in (False, True)]
        assert found == verdicts(published, kind, given_, text), (kind, text)


def test_loosely_counts_what_holds_without_greeting_and_emphasis():
    given_ = {"end_phrase": "the end"}
    assert not followed("The **end**\nBye", "startend:end_checker", given_, False)
    assert followed("The **end**\nBye", "startend:end_checker", given_, True)


def test_what_was_asked_for_is_counted_though_it_is_no_letter():
    given_ = {"letter": "#", "let_frequency": 2, "let_relation": "at least"}
    assert followed("# a\n# b", "keywords:letter_frequency", given_, False)
    assert not followed("# a", "keywords:letter_frequency", given_, False)


@pytest.mark.parametrize(
    ("kind", "given_", "said"),
    [
        ("punctuation:no_dots", {}, "no check for"),
        ("startend:quotation", {"x": 1}, "does not fit"),
        (
            "length_constraints:number_words",
            {"num_words": 3, "relation": "about"},
            "says 'about'",
        ),
    ],
)
def test_an_instruction_that_cannot_be_checked_is_one_sentence(kind, given_, said):
    with pytest.raises(UserError, match=said):
        followed("text", kind, given_, False)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One line\nand another", 1),
        ("One. Two! Three? Four", 4),
        ('He said "Go." Then he left.', 2),
        ("Dr. Smith lives at 3.5 Main St. in the U.S. since 1990.", 1),
        ("It is late, e.g. ten. We go.", 2),
        ("Wait... what? Yes.", 2),
        ("J. R. Tolkien wrote it. Yes.", 2),
        ("They live in the U.S. The weather is fine.", 2),
    ],
)
def test_sentences_are_counted(text, count):
    assert count_sentences(text) == count

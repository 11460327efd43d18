"""Languages: the shipped model on clear cases, scripts, and training a small one."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.core.errors import UserError
from hornbook.data.classify.language import load_language_model
from hornbook.data.classify.scripts import SCRIPTS, letter_tables
from hornbook.data.classify.train_language import train_languages

TEXTS = {
    "en": "The committee will meet again on Thursday to decide about the new bridge.",
    "de": "Der Ausschuss trifft sich am Donnerstag wieder, um über die Brücke zu reden.",
    "fr": "Le comité se réunira de nouveau jeudi pour décider du nouveau pont.",
    "es": "El comité se reunirá otra vez el jueves para decidir sobre el puente nuevo.",
    "pt": "A comissão vai reunir-se outra vez na quinta-feira para decidir sobre a ponte.",
    "it": "Il comitato si riunirà di nuovo giovedì per decidere sul nuovo ponte.",
    "pl": "Komisja zbierze się ponownie w czwartek, aby zdecydować o nowym moście.",
    "ru": "Комитет снова соберётся в четверг, чтобы принять решение о новом мосте.",
    "uk": "Комітет знову збереться у четвер, щоб вирішити питання про новий міст.",
    "el": "Η επιτροπή θα συνεδριάσει ξανά την Πέμπτη για τη νέα γέφυρα.",
    "ja": "委員会は新しい橋について決めるために木曜日に再び集まります。",
    "zh": "委员会将于星期四再次开会，就新桥作出决定。",
    "ko": "위원회는 새 다리에 대해 결정하기 위해 목요일에 다시 모입니다.",
    "ar": "ستجتمع اللجنة مرة أخرى يوم الخميس لاتخاذ قرار بشأن الجسر الجديد.",
    "fa": "کمیته روز پنجشنبه دوباره برای تصمیم گیری درباره پل جدید جلسه می‌گذارد.",
}


def identify(texts):
    return load_language_model().identify(pa.array(texts, pa.large_string()))


def test_a_sentence_in_each_language_is_known():
    codes, scores = identify(list(TEXTS.values()))
    assert codes.tolist() == list(TEXTS)
    assert (scores > 0.6).all()


def test_without_letters_nothing_is_said():
    codes, scores = identify(["", "12 + 34 = 46", "a b c", "➡️ 🎉 " * 30, "...\n---"])
    assert codes.tolist() == [""] * 5
    assert not scores.any()


def test_a_script_that_no_language_of_the_model_is_written_in_says_nothing():
    georgian = "კომიტეტი ხუთშაბათს კვლავ შეიკრიბება ახალი ხიდის შესახებ."
    assert identify([georgian])[0].tolist() == [""]


def test_a_cyrillic_text_is_never_a_latin_language():
    random = np.random.default_rng(1)
    letters = list("абвгдежзийклмнопрстуфхцчшщъыьэюя ")
    texts = ["".join(random.choice(letters, 60)) for _ in range(50)]
    assert set(identify(texts)[0]) <= {"ru", "uk", "bg", "sr"}


def test_a_mixed_text_scores_by_its_larger_part():
    mixed = TEXTS["ru"] + " " + TEXTS["en"][:40]
    codes, scores = identify([mixed])
    assert codes[0] == "ru"
    assert 0.5 < scores[0] < 0.75  # about a third of the letters are Latin


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=300), min_size=1, max_size=6))
def test_any_text_gets_an_answer_that_does_not_depend_on_its_neighbours(texts):
    codes, scores = identify(texts)
    known = {"", *load_language_model().known()}
    assert set(codes) <= known
    assert ((scores >= 0) & (scores <= 1)).all()
    for row, text in enumerate(texts):
        code, score = identify([text])
        assert (code[0], score[0]) == (codes[row], scores[row])


def test_of_a_long_text_every_part_is_looked_at():
    long = TEXTS["de"] * 100 + TEXTS["en"] * 500
    assert identify([long])[0][0] == "en"


def test_scripts_of_letters():
    script, folded = letter_tables()
    for letter, name in zip("aЖא文かカ한ß7", (
        *("LATIN", "CYRILLIC", "HEBREW", "HAN", "KANA", "KANA", "HANGUL", "LATIN", ""),
    ), strict=True):  # fmt: skip
        assert SCRIPTS[script[ord(letter)]] == name
    assert folded[ord("Ж")] == ord("ж")


def test_a_model_of_ones_own_learns_and_survives_the_disk(tmp_path):
    random = np.random.default_rng(2)
    words = {"aa": ["tak", "lok", "pim"], "bb": ["sha", "chu", "who"]}
    labels = ["aa", "bb"] * 60
    texts = [" ".join(random.choice(words[code], 12)) for code in labels]
    model = train_languages(texts[:80], labels[:80])
    model.save(tmp_path / "mine")
    again = load_language_model(tmp_path / "mine")
    codes, _ = again.identify(pa.array(texts[80:], pa.large_string()))
    assert codes.tolist() == labels[80:]
    (tmp_path / "mine" / "weights.npy").write_bytes(b"no array")
    load_language_model.cache_clear()
    with pytest.raises(UserError, match="cannot be read"):
        load_language_model(tmp_path / "mine")

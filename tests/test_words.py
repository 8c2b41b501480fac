import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spert.words_spert import split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ada Park joined Northwind Labs.", "Ada|Park|joined|Northwind|Labs|."),
        ("Zürich's ETH (est. 1855) costs $1,000.50!", "Zürich|'s|ETH|(|est|.|1855|)|costs|$|1,000.50|!"),
        ("U.S. troops, e.g. in well-known towns", "U.S.|troops|,|e.g.|in|well-known|towns"),
        ("don't, O'Brien's, rock 'n' roll…", "don't|,|O'Brien|'s|,|rock|'|n|'|roll|…"),
        ("He said ``no'' -- twice...", "He|said|``|no|''|--|twice|..."),
        ("東京タワーは高い。", "東|京|タ|ワ|ー|は|高|い|。"),
        ("아다 박은 서울에 산다.", "아다|박은|서울에|산다|."),
        ("नमस्ते दुनिया", "नमस्ते|दुनिया"),
        ("ที่นี่ไทย 12", "ที่|นี่|ไ|ท|ย|12"),
        ("ភាសាខ្មែរ", "ភា|សា|ខ្មែ|រ"),
        ("ພາສາລາວ", "ພ|າ|ສ|າ|ລ|າ|ວ"),
        ("မြန်မာဘာသာ", "မြ|န်|မာ|ဘာ|သာ"),
        ("مُحَمَّد يعيش في القاهرة", "مُحَمَّد|يعيش|في|القاهرة"),
        ("e\u0301te\u0301 cafe\u0301s", "e\u0301te\u0301|cafe\u0301s"),
        ("👩‍👩‍👧 👍🏽 ❤️x", "👩‍👩‍👧|👍|🏽|❤️|x"),
        ("12:30, 1/2 and 3.", "12:30|,|1/2|and|3|."),
        ("a\u200bb\u00adc \ufeff", "a\u200bb\u00adc"),
        (" \t\n\u3000 ", ""),
        ("", ""),
    ],
)
def test_words(text, words):
    assert "|".join(text[start:end] for start, end in split_words(text)) == words


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_words_are_in_order_and_nothing_visible_is_lost(text):
    position = 0
    for start, end in [*split_words(text), (len(text), len(text))]:
        assert position <= start
        gap = text[position:start]
        assert all(char.isspace() or unicodedata.category(char) in ("Cc", "Cf") for char in gap), repr(gap)
        assert not any(char.isspace() for char in text[start:end])
        position = end
    assert all(start < end for start, end in split_words(text))

"""Sentences of raw text: literal tables for each rule, properties for any text."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spert.sentences_spert import split_sentences


def sentences(text):
    return [text[start:end] for start, end in split_sentences(text)]


# In all tables `|` stands between two sentences, and a space of the text is there unless the row says otherwise.


def check(row, separator=" "):
    expected = row.split("|")
    assert sentences(separator.join(expected)) == expected


@pytest.mark.parametrize(
    "row",
    [
        "Ada Park joined Northwind Labs.|She lives in Oslo!|Does she?|Yes.",
        "What?!|No...|Really?!?|Yes!!!",
        "It costs $3.50 or 1,000.5 euros.|Version 2.0.1 is out.",
        "It rose by .5 percent.|It fell by 3 %.",
        "We measured 5 mg.|Patients recovered within 48 h.|Doctors agreed.",
        "mRNA was found in cells.|pH was low.|p53 was not found.|iPhone users agree.",
        "Georgian has no capitals: აქ არის.|ის იქ არის.",
        "Это предложение.|Это другое?|Да!",
        "¿Qué tal?|¡Muy bien!|Gracias.",
        "Really?|yes, really.",
        "It ended in 1997.|12 people came.",
        "Wait\u2026|Then he left.",
        "They \u2026 went home.",
        "To . . . restore the house . . . of cards.",
        "The end . . .|The next one began.",
        "They met ... Ada Park ... in Oslo.|All was lost ...|The next one began.",
    ],
)
def test_signs(row):
    check(row)


@pytest.mark.parametrize(
    "row",
    [
        'He said "Stop!" and left.|"Go!"|He went.',
        "He said “Stop.”|Then he left.|‘Go?’|No.",
        "Er rief: „Halt!“|Dann ging er.|»Gut.«|Er blieb.",
        "Il a dit : « Bonjour. »|Puis il est parti.",
        'She saw "The King and I."|Kennedy did not.',
        "(One is here.|Two is there.)|Three.",
        f"She slept (she {'was very ' * 30}tired. She had worked.) all day.",
        f"She slept (she {'was very ' * 45}tired.|She had worked.) all day.",
        "(He was tired.)|Then he left (why?) and she (so they say!) stayed.",
        "Rembrandt (?) Portrait of a man.|Sold (see p. 3. It says so. All of it.) in Rome.",
        "They came (all of them [the best!] too).|We left (it was late.)|Nobody saw us.",
        "It ended.[1]|The next one began.[2,3]|It went on.[4-6]|The end.",
        "Great! 😀|See you there! 👍🏽|Bye.",
        'He " agreed . "|He left .|" No . " is what he said . \'\'|Yes .',
        "He said , ' ' I will . ' '|He did .",
        'He said: "It is A.|Then it is B."|Then C.',
        "It was found in Yongbyon . '",
        'They wrote about Russia and its Interests . "',
        "This is Ada Park for Signal FM. ( end recording )",
        "It fails .|( ii ) It works .|( Signed ) Ada Park",
    ],
)
def test_quotes_and_brackets(row):
    check(row)


@pytest.mark.parametrize(
    "row",
    [
        "Dr. Ada Park and Prof. Dr. Bo Lee met Mrs. Day.|St. Olaf was there.",
        "DR. ADA PARK MET MR. LEE.|THEY TALKED.",
        "It was in MS.|Lee had it, cf. Park et al. 2020 and Lee et al. Nature 3, vs. Oslo.",
        "See Fig. 3, No. 5, pp. 3-5, Vol. II, Fig. B and Sec. 2.1.|No.|Five came.",
        "She said no.|Then she left.",
        "On Nov. 5 and on Sat. Ada came.|It was Nov.|The snow fell.",
        "The U.S. Congress met in Washington, D.C. on Monday.|He left the U.S.|The end.",
        "She works for Acme Inc. in Oslo.|He works for Acme Inc.|They met.",
        "Acme Inc., the maker, and Foo Corp.; both agree.",
        "At 5 p.m. Monday it rained.|It stopped at 6 p.m.|The sun came out.",
        "Tools, e.g. hammers, i.e. Things, etc. are sold.|Nails, etc.|Hammers are not.",
        "He was born in Reno, Nev., and died in Omaha, Neb.|Kennedy knew him.",
        "RENO, Nev. (AP) reports it.|A Va. Democrat agreed.",
        "J. K. Rowling wrote it.|George W. Bush read it.|But J. La Rue and J. A. Park did not.",
        "He took vitamin C.|Interferon worked.|Group B.|He took amphotericin B.|Doses rose.",
        "M. Dupont arrive.|Mme. Dupont part.|Le 14 juil. 1789, p. ex. Paris.",
        "Am 3. Oktober war es.|Der 2. Weltkrieg begann am 1. Sept. 1939.|Das war z. B. Polen.|Es waren 5.|Tage.",
        "Das steht seit 1990.|Berlin wuchs.",
        "Er wohnt Hauptstr. 5, vgl. Abb. 3 bzw. Tabelle 4.|Das Gen.|Es ist groß.",
        "El Sr. López y la Dra. Ruiz, pág. 5.|Los dos.",
        "Il dott. Rossi abita qui.|Il sig. Bianchi no.",
        "Prof. dr. Jansen en mevr. De Vries.|Zij zijn hier.",
        "Jeg vet det.|Han sa det, bl.a. Oslo og f.eks. Bergen.",
        "Проф. Иванов пришёл.|См. рис. 5 и стр. 7.|Он ушёл в 2020 г.",
        "डॉ. शर्मा आए।|वे गए।",
        "Lt.-Gov. Park spoke.|Vice-Pres. Lee did not.",
        "Is it J.R.R. Tolkien?|It is Ph.D. Ada Park.",
        "The word is Ad.|Next.",
    ],
)
def test_abbreviations(row):
    check(row)


@pytest.mark.parametrize(
    "row",
    [
        "你好。|我是他！|真的吗？|是的……|好。",
        "你好!|我是小王.|再见?|好。",
        "他说：“走吧！”|“好。”|他走了。",
        "他（真的？）走了。|好。",
        "圆周率是3．14。|对．|答案是3．|好。",
        "今日は暑い。|明日も！|本当？|はい｡|そうです。",
        "「行く。」と彼は言った。|彼は「今日は暑い。明日も。」と言った。|次。",
        "네이버에서 https://a.kr/가?나=다。|好。",
    ],
)
def test_scripts_without_spaces(row):
    check(row, separator="")


@pytest.mark.parametrize(
    "row",
    [
        "यह एक है।|यह दो है॥|क्या?|हाँ।",
        "هذا سؤال؟|نعم.|هذا جواب!",
        "یہ جملہ ہے۔|کیا؟|ہاں۔",
        "Τι κάνεις;|Καλά· εσύ;|Καλά.|Πού\u037e|Εδώ.",
        "α; β; Γ are letters.",
        "Πώς; είπε ο Πέτρος.",
        "Ես եմ։|Դու ես:|Նա է։",
        "ဒါက ပထမ၊ ဒုတိယ။|တတိယ။",
        "នេះ។ល។|គឺ។|ពីរ៕|បី។",
        "เขาเกิด พ.ศ. 2500 ที่ กทม. แล้ว ไป",
        "ሰላም።|ደህና፧|አዎ፡፡|እሺ።",
        "ཡིན། །|རེད།།|དེ༎|འདི།",
        "שלום.|מה?|כן!",
        "ᠮᠣᠩᠭᠣᠯ᠃|ᠬᠡᠯᠡ᠃",
    ],
)
def test_scripts_with_spaces(row):
    check(row)


@pytest.mark.parametrize(
    "row",
    [
        "Visit https://a.org/b.html?c=D. E!|Then http://x.org/?Q=1.|Or www.y.com.|Ask me@z.org.|Open read.me.txt. now.",
        "Awww.|Then it slept.",
        "Node.js, example.com and README.md.|Yahoo!|Next.",
        "See https://例え.jp/だ.れ.か.|Next.",
    ],
)
def test_addresses(row):
    check(row)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One\n\ntwo\n \t\nthree", ["One", "two", "three"]),
        ("One\r\n\r\ntwo\ftwo\u2029three", ["One", "two", "two", "three"]),
        ("Introduction\nThis is a text.", ["Introduction", "This is a text."]),
        (
            "1. Introduction\n2.3 Results\nIV. Discussion\nA. Data",
            ["1. Introduction", "2.3 Results", "IV. Discussion", "A. Data"],
        ),
        ("# Title\ntext of it\n## Next\nmore", ["# Title", "text of it", "## Next", "more"]),
        ("Title\n=====\ntext", ["Title", "=====", "text"]),
        ("To buy:\n- milk\n- bread and\n  butter\n* eggs", ["To buy:", "- milk", "- bread and\n  butter", "* eggs"]),
        ("1) one\n2) two\n(3) three\n[4] four", ["1) one", "2) two", "(3) three", "[4] four"]),
        ("One is here.\nTwo is there\nThree is gone", ["One is here.", "Two is there", "Three is gone"]),
        ("i went home.\nthen i slept.", ["i went home.", "then i slept."]),
        ("hello. how are you? i am fine, e.g. well.", ["hello.", "how are you?", "i am fine, e.g. well."]),
        ("Dear Bo,\nThanks for the note.\nBest\nAda", ["Dear Bo,", "Thanks for the note.", "Best", "Ada"]),
        ("> You said so.\n> And more.\nYes.", ["> You said so.", "> And more.", "Yes."]),
        ("> Ada said so and she\nwent away.", ["> Ada said so and she", "went away."]),
        ("Annual report of today\nNorthwind grew by four.", ["Annual report of today", "Northwind grew by four."]),
        # Forty columns are the narrowest that text is wrapped at.
        (
            "Ada and Bo met in the old house of a\nPark in Oslo.",
            ["Ada and Bo met in the old house of a\nPark in Oslo."],
        ),
        ("Ada and Bo met in the old house of\nPark in Oslo.", ["Ada and Bo met in the old house of", "Park in Oslo."]),
        ("| a | b |\n| c | d |", ["| a | b |", "| c | d |"]),
        ("一行\n二行", ["一行", "二行"]),
        (
            "Ada Park joined Northwind Labs, a company that Dr.\nBo Lee had founded in Oslo with the help of her\n"
            "Uncle. She left in\nMay.",
            [
                "Ada Park joined Northwind Labs, a company that Dr.\n"
                "Bo Lee had founded in Oslo with the help of her\nUncle.",
                "She left in",
                "May.",
            ],
        ),
        (
            "> Ada Park joined Northwind Labs, a company that\n> Bo Lee had founded in Oslo. It was what she had\n"
            "> Wanted.",
            [
                "> Ada Park joined Northwind Labs, a company that\n> Bo Lee had founded in Oslo.",
                "It was what she had\n> Wanted.",
            ],
        ),
        (
            "It was a long way from the house of the White-\nHouse staff to the sea.\n"
            "https://example.org/a/very/long/address/that/nobody/wraps/at/all?even=here\nshe went. Ok.",
            [
                "It was a long way from the house of the White-\nHouse staff to the sea.",
                "https://example.org/a/very/long/address/that/nobody/wraps/at/all?even=here\nshe went.",
                "Ok.",
            ],
        ),
    ],
)
def test_lines(text, expected):
    assert sentences(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t\u3000\u2028 ", []),
        ("\u200b\ufeff", []),
        (".", ["."]),
        ("\ufeffOne. Two.", ["\ufeffOne.", "Two."]),
        ("  One.   Two.  ", ["One.", "Two."]),
        ("no end", ["no end"]),
    ],
)
def test_edges(text, expected):
    assert sentences(text) == expected


# Text with much of what the rules look for.
PIECES = st.sampled_from(
    [
        *".!?…。！？।؟;:,()[]\"'“”«»「」- \n\t\u00a0\u200b\u2029\u037e\u0301😀#>|•",
        *("\n\n", "\r\n", ". ", "... ", " . . . ", "。」", "។ល។", "1. ", "https://a.org/b.c", "me@a.org"),
        *("Dr", "U.S.", "e.g.", "No. 5", "Nov", "J.", "The", "the", "Ada", "word", "3.5"),
        *("中文", "かな", "है", "λόγος", "Ես", "ไทย"),
    ]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join) | st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS)
@settings(max_examples=300)
def test_ranges_are_trimmed_in_order_and_nothing_visible_is_lost(text):
    position = 0
    for start, end in [*split_sentences(text), (len(text), len(text))]:
        assert position <= start <= end
        gap = text[position:start]
        assert all(char.isspace() or unicodedata.category(char) in ("Cc", "Cf") for char in gap), repr(gap)
        assert text[start:end] == text[start:end].strip()
        position = end
    assert all(start < end for start, end in split_sentences(text))


@given(TEXTS, TEXTS)
def test_a_blank_line_parts_texts_that_have_capitals(one, other):
    one, other = f"Ada {one} Ada", f"Bo {other} Bo"
    shift = len(one) + 2
    expected = split_sentences(one) + [(start + shift, end + shift) for start, end in split_sentences(other)]
    assert split_sentences(f"{one}\n\n{other}") == expected


WORDS = st.sampled_from(
    ["Ada", "Park", "Oslo", "went", "to", "the", "café", "U.S.", "Dr.", "3.5", "e.g.", "(see", "below)", "12"]
)
SENTENCES = st.builds(
    lambda first, words, last: " ".join([first, *words, last]),
    st.sampled_from(["The", "She", "In"]),
    st.lists(WORDS, max_size=8),
    st.sampled_from(["end.", "end?", "end!"]),
)


@given(st.lists(SENTENCES, min_size=1, max_size=6))
def test_a_sentence_that_was_found_is_one_sentence(texts):
    for sentence in sentences(" ".join(texts)):
        assert sentences(sentence) == [sentence]


HOSTS = st.from_regex(r"[a-z]{1,8}(\.[a-z]{2,8}){1,3}", fullmatch=True)
PATHS = st.from_regex(r"(/[A-Za-z0-9._~!?=&%:;,()-]{0,10}){0,3}/?[A-Za-z0-9]", fullmatch=True)


@given(HOSTS, PATHS, st.sampled_from(["https://", "http://", "www.", "ftp://", "me@"]))
def test_an_address_stays_whole(host, path, prefix):
    address = prefix + host + ("" if prefix == "me@" else "/" + path)
    assert sentences(f"Visit {address}. The end.") == [f"Visit {address}.", "The end."]


@pytest.mark.parametrize(
    "unit",
    [
        *(
            ".",
            "(",
            "()",
            "a. ",
            "a.",
            '"',
            '. "',
            ".(",
            "(a. ",
            "http://(",
            "www.",
            "1. ",
            "A\nB. ",
            "> ",
            "。(",
            "([{",
        ),
        *("a'", "- ", ". . ", "a", "中.", " ", "\n", "\u0301", ".😀", "e.g. (", "U.S. ("),
    ],
)
def test_time_grows_linearly(unit):
    """What grows with the square takes minutes here."""
    text = unit * (50_000 // len(unit))
    start = time.perf_counter()
    found = split_sentences(text)
    assert time.perf_counter() - start < 20
    assert sum(end - start for start, end in found) <= len(text)

"""Split raw text into sentences, with their character ranges, for any script.

Rules, no model: line breaks are read first (a text wrapped at a column is told from one with a sentence a line), then
the signs that end a sentence, each judged by the word before it and the word after it. Abbreviations are known for the
larger European languages. Time grows linearly with the text, whatever the text is.
"""

import functools
from collections.abc import Iterator

import regex

_NARROWEST_WRAP = 40  # columns: nobody wraps lines narrower, so that shorter lines end where they should end
_LONGEST_ASIDE = 400  # characters in brackets that may hold sentences without ending the one around them
_LONGEST_WORD = 40  # characters looked at before a full stop


def split_sentences(text: str) -> list[tuple[int, int]]:
    """The sentences of a text as half-open character ranges, in order and without overlap.

    Ranges neither start nor end with white space, and every visible character lies in one of them. A blank line always
    ends a sentence. A single line break does so after a line that ends a sentence, before a list item, around a
    heading, and wherever the next word would still have fitted into the line; elsewhere it is a space of wrapped text.

    >>> text = "Dr. Ada Park joined Acme Inc. in Oslo. Why? She had her reasons."
    >>> [text[start:end] for start, end in split_sentences(text)]
    ['Dr. Ada Park joined Acme Inc. in Oslo.', 'Why?', 'She had her reasons.']
    """
    is_cased = _search(r"\p{Lu}", text) is not None
    sentences = []
    for block_start, block_end in _blocks(text):
        for start, end in _sentences_of_block(text, block_start, block_end, is_cased):
            match = _search(r"\S", text, start, end)
            if match is None:
                continue
            start = match.start()
            while text[end - 1].isspace():
                end -= 1
            if _search(r"[^\s\p{Cc}\p{Cf}]", text, start, end):
                sentences.append((start, end))
    return sentences


# Lines


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Ranges between the line breaks that end a sentence whatever their lines say."""
    for lines in _paragraphs(text):
        width = max(
            (_width(text, start, end) for start, end in lines if _search(r"\S\s+\S", text, start, end)), default=0
        )
        width = max(width, _NARROWEST_WRAP)
        first = 0
        for number in range(1, len(lines)):
            if _is_deliberate(text, lines[number - 1], lines[number], width):
                yield lines[first][0], lines[number - 1][1]
                first = number
        yield lines[first][0], lines[-1][1]


def _paragraphs(text: str) -> Iterator[list[tuple[int, int]]]:
    """The lines between blank lines, as ranges without the white space around them."""
    lines: list[tuple[int, int]] = []
    for match in _compiled(
        r"([^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*+)(\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]|$)"
    ).finditer(text):
        start, end = match.span(1)
        line = text[start:end]
        if stripped := line.strip():
            start += len(line) - len(line.lstrip())
            lines.append((start, start + len(stripped)))
        elif lines:
            yield lines
            lines = []
        if lines and match[2] not in ("\n", "\r", "\r\n", "\x85"):
            yield lines
            lines = []


def _is_deliberate(text: str, line: tuple[int, int], following: tuple[int, int], width: int) -> bool:
    """Whether a line break was made by the writer rather than by wrapping the text at `width` columns."""
    (start, end), (next_start, next_end) = line, following
    quoted, quoted_next = (_match(r"(?:>\s?)++", text, *each) for each in (line, following))
    if (quoted[0].count(">") if quoted else 0) != (quoted_next[0].count(">") if quoted_next else 0):
        return True
    if quoted and quoted_next:
        start, next_start = quoted.end(), quoted_next.end()
    if _match(_LIST_ITEM, text, next_start, next_end):
        return True
    if _match(_RULE_OR_HEADING, text, start, end) or _match(_RULE_OR_HEADING, text, next_start, next_end):
        return True
    first_word = _match(r"[^\s\p{Han}\p{Hiragana}\p{Katakana}]++", text, next_start, next_end)
    if _width(text, *line) + 1 + (len(first_word[0]) if first_word else 1) > width:
        return False
    is_continued = _match(r"\W{0,3}+[\p{Ll}--\p{Georgian}]", text, next_start, next_end) or text[end - 1] in "-‐‑–—"
    return not is_continued or _search(r"[:\p{STerm}…][\p{Pe}\p{Pf}\"']*+$", text, max(start, end - 8), end) is not None


_LIST_ITEM = (
    r"(?:[-*+•◦▪‣·–—○●■□➢✓]\s+|\(?(?:\d{1,3}(?:\.\d{1,3})*+|[a-zA-Z]|[ivxIVX]{1,5})[.)]\s+|[\[(]\d{1,3}[\])]\s)\S"
)
_RULE_OR_HEADING = r"(?:#{1,6}\s|\||[^\w\s]{3,}+$|(?:[-=*_~]\s*){3,}+$)"


def _width(text: str, start: int, end: int) -> int:
    """Columns of a range: Chinese, Japanese and Korean characters take two."""
    return (
        end
        - start
        + sum(1 for _ in _compiled(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]").finditer(text, start, end))
    )


# Signs that end sentences

_FULL_STOPS = ".․﹒．"
_ADDRESS = r"(?:https?://|ftp://|\bwww\.(?=\w))[^\s<>\"。！？；，、“”「」『』（）]*(?<=[\w/])"
_CANDIDATE = (
    rf"(?P<address>{_ADDRESS})"
    r"|(?P<ellipsis>\.(?:[ \u00a0]\.){2,}+|\.{2,}+|[…‥⋯]++)"
    # Unicode counts the Burmese comma (U+104A) among the signs that end sentences; a Tibetan one has the shad twice.
    r"|(?P<sign>(?:[\p{STerm}--[\u104a]]|[｡\u037e༎]|།\s?།|፡፡)++[\p{STerm}…]*+)"
    r"|(?P<question>(?<=\p{Script=Greek}{2}\s?);(?=\s|$))"
    r"|(?P<colon>(?<=\p{Script=Armenian}{2}):(?=\s|$))"
)
_NEEDS_SPACE = "!?‼⁇⁈⁉‽…" + _FULL_STOPS  # signs of scripts with spaces, which also stand inside names and addresses


def _sentences_of_block(text: str, start: int, end: int, is_cased: bool) -> Iterator[tuple[int, int]]:
    asides = _asides(text, start, end)
    aside = 0  # the first aside that is still to come
    aside_end = start  # where the asides end that were opened inside this sentence
    counted, quotes = start, 0  # straight quotation marks in this sentence up to here
    position, pattern = start, _compiled(_CANDIDATE)
    while candidate := pattern.search(text, position, end):
        position = candidate.end()
        if candidate.lastgroup == "address":
            continue
        quotes += text.count('"', counted, position)
        counted = position
        closed = _end_of_closing_signs(text, position, end, quotes % 2 == 1)
        while aside < len(asides) and asides[aside][0] < candidate.start():
            opening, closing = asides[aside]
            if opening > start:
                aside_end = max(aside_end, closing)
            aside += 1
        # Only a full stop before its last bracket lets an aside inside a sentence end that sentence.
        if candidate.start() < aside_end and (closed < aside_end or candidate[0] not in _FULL_STOPS):
            continue
        if _is_end(text, start, candidate, closed, end, is_cased):
            yield start, closed
            start = position = counted = aside_end = _after_space(text, closed, end)
            quotes = 0
    if start < end:
        yield start, end


def _after_space(text: str, position: int, end: int) -> int:
    space = _match(r"\s*+", text, position, end)
    return space.end() if space else position


def _end_of_closing_signs(text: str, position: int, end: int, in_quotes: bool) -> int:
    """Where the brackets, quotation marks, further signs, note marks and emoji end that belong to the sign before."""
    while match := _match(_CLOSING, text, position, end):
        if match["straight"] and not in_quotes and _match(r"\w", text, match.end(), end):
            break
        in_quotes = in_quotes and not match["straight"]
        position = match.end()
    match = _match(_CLOSING_APART, text, position, end)
    return match.end() if match and (in_quotes or not match["straight"]) else position


_EMOJI = r"[[\p{Extended_Pictographic}\ufe0f\u200d\U0001f3fb-\U0001f3ff]--[©®™]]"
_CLOSING = (
    r"[\p{Pe}\p{Pf}\p{STerm}…]"
    r"|\[\d{1,3}(?:[,–-]\s?\d{1,3})*+\](?!\w)"
    r"|(?P<straight>\"|''|'(?!\w))"
    r"|\p{Pi}(?=\s|$|[\p{Pe}\p{Pf}\p{Pi}])"
    rf"|{_EMOJI}"
)
_CLOSING_APART = (  # as in texts whose words were joined with spaces
    rf"\s{{1,2}}(?:(?P<straight>\")|[\p{{Pe}}\p{{Pf}}]|'\s?'|{_EMOJI})++(?=\s|$)"
)


def _asides(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The ranges of short pairs of brackets, in the order of their opening ones."""
    found: list[tuple[int, int]] = []
    opened: dict[str, list[int]] = {closing: [] for closing in _BRACKETS.values()}
    for match in _compiled(_BRACKET).finditer(text, start, end):
        if match[0] in _BRACKETS:
            opened[_BRACKETS[match[0]]].append(match.start())
        elif opened[match[0]]:
            opening = opened[match[0]].pop()
            if match.end() - opening <= _LONGEST_ASIDE:
                found.append((opening, match.end()))
    return sorted(found)


_BRACKETS = dict(zip("([{（［｛「『【〈《〔", ")]}）］｝」』】〉》〕"))
_BRACKET = f"[{regex.escape(''.join(_BRACKETS) + ''.join(_BRACKETS.values()))}]"


def _is_end(text: str, start: int, candidate: regex.Match[str], closed: int, end: int, is_cased: bool) -> bool:
    """Whether the sign at `candidate` ends the sentence that begins at `start`; its closing signs end at `closed`."""
    if closed >= end:
        return True
    following = _match(_FOLLOWING, text, closed, end)
    assert following is not None  # every part of it may be empty
    word, sign = following["word"], candidate[0]
    has_closing = closed > candidate.end()
    if not following["space"] and not _stands_without_space(text, start, candidate, closed, end):
        return False
    if (
        _match(_ONLY_SIGNS_LEFT, text, closed, end)
        or _match(_CONTINUES, text, closed, end)
        or (has_closing and _match(_JAPANESE_PARTICLE, text, closed, end))
    ):
        return False
    if _match(r"។\s?ល\s?។", text, candidate.start(), end):
        return False  # the Khmer "and so on" holds the sign twice
    is_lower = is_cased and word is not None and word[0] != word[0].title()  # Georgian has no title case
    is_lower = is_lower and not _match(_ADDRESS, text, following.start("word"), end)
    if candidate.lastgroup == "ellipsis":
        is_left_out = candidate.start() > start and text[candidate.start() - 1].isspace()  # they ... went
        return not is_lower and word is not None and (not is_left_out or _starts_sentence(following))
    if sign not in _FULL_STOPS:
        return not (is_lower and (has_closing or candidate.lastgroup != "sign"))
    if is_lower and not _match(r"\p{Ll}{1,2}[\p{Lu}\d]", word, 0, len(word)):  # but mRNA, pH, iPhone, p53
        return False
    before = max(candidate.start() - 1, start)
    if _match(r"[\p{Thai}\p{Lao}]", text, before, end):
        return False  # neither script ends sentences with it, both abbreviate with it
    if _match(_WIDE, text, before, end):
        return True
    is_quoted = _search(r"[\"'\p{Pf}\p{Pi}]", text, candidate.end(), closed) is not None
    return not _is_abbreviation(text, start, candidate.start(), following, is_quoted)


_FOLLOWING = (
    r"(?P<space>\s*+)"
    r"(?:\p{Ps}\s(?=\w)(?!(?:[ivx]{1,5}|\w)\s?\p{Pe})|[^\w\s]{0,8}+)"  # ( end ), but ( ii ) begins a sentence
    r"(?P<word>\w++(?:['’]\w++)?+)?+(?P<dot>\.)?+"
)
_ONLY_SIGNS_LEFT = r"[^\w\p{So}]{0,8}+$"  # such as a closing quotation mark that stands apart
_CONTINUES = r"\s*+(?:[,;:%)\]}、，；：]|[.!?](?=\s|$))"
_JAPANESE_PARTICLE = r"と|って|の|は|が|を|に|も"


def _stands_without_space(text: str, start: int, candidate: regex.Match[str], closed: int, end: int) -> bool:
    """Whether a sign may end a sentence though no white space follows."""
    if candidate.lastgroup == "sign" and candidate[0].strip(_NEEDS_SPACE):
        return True
    if candidate[0] == "．":
        return not _match(r"\d", text, closed, end)
    before, after = max(candidate.start() - 1, start), rf"{_WIDE}|[\p{{Ps}}\p{{Pi}}]"
    return _match(_WIDE, text, before, end) is not None and _match(after, text, closed, end) is not None


_WIDE = r"[\p{Han}\p{Hiragana}\p{Katakana}]"  # written without spaces


# Abbreviations


def _is_abbreviation(text: str, start: int, stop: int, following: regex.Match[str], is_quoted: bool) -> bool:
    """Whether the full stop at `stop` belongs to the word before it and does not end the sentence.

    Punctuation that stands apart, as in texts whose words were joined with spaces, belongs to no word.
    """
    found = _match(_WORD_BEFORE, text, max(start, stop - _LONGEST_WORD), stop)
    if found is None:
        return False
    word, next_word = found[0], following["word"] or ""
    if found.start() <= start + 1 and _is(r"\d{1,3}(?:\.\d{1,3})*+|[ivxIVX]{1,5}|\p{L}", word):
        return True  # 1. Introduction
    if len(word) > 1 and word.isupper() and len(next_word) > 1 and next_word.isupper():
        word = word.capitalize()  # DR. ADA PARK
    before = _match(r"(?r)(\w++)(\W++)", text, max(start, found.start() - _LONGEST_WORD), found.start())
    word_before, between = (before[1], before[2]) if before else ("", "")
    if word.isdigit():
        return _is_ordinal(word, word_before, following)
    if next_word[:1].isdigit():
        is_street = word.lower().endswith("str")  # Hauptstr. 5
        return is_street or _is_in(word.lower(), _BEFORE_NUMBER) or _is_in(word, _BEFORE_NAME) or _is_in(word, _EITHER)
    if len(word) > 1 and _is_in(word, _BEFORE_NUMBER) and _is(r"[IVXLC]{2,5}|[B-HJ-Z]", next_word):
        return True  # Vol. II, Fig. B
    spaced = f"{word_before}.{word}" if between.strip() == "." else word  # z. B.
    if any(_is_in(form, _BEFORE_NAME) for form in (word, spaced, word.rsplit("-", 1)[-1])):
        return True
    if is_quoted:
        return False
    if len(word) == 1:
        return word.isalpha() and _is_initial(word_before, between, following)
    if word in _STATES and between.startswith(","):
        return following["space"] == "" or "(" in following[0]  # inside a sentence a comma follows: Reno, Nev., is …
    if _is_in(word, _EITHER) or word in _STATES or _is(r"(?:\p{L}{1,2}\.)+\p{L}{1,2}", word):
        return not _starts_sentence(following)
    return False


_WORD_BEFORE = r"(?r)(?:[\p{L}\p{M}\p{N}§№]|(?<=[\p{L}\p{N}])[.'’\-‐‑/&](?=[\p{L}\p{N}]))++"


def _is_initial(word_before: str, between: str, following: regex.Match[str]) -> bool:
    """J. K. Rowling, but not "vitamin C. Doses" or "48 h. Patients"."""
    if between.isspace() and (
        word_before.isdigit()
        or word_before.lower() in _NAMED_BY_LETTER
        or _is(r"\p{Ll}{4,}ine?", word_before)  # substances: mitomycin C, cyclosporine A
    ):
        return False
    return (following["word"] or "").lower() in _NAME_PARTICLES or not _starts_sentence(following)


def _is_ordinal(number: str, word_before: str, following: regex.Match[str]) -> bool:
    """The 3. of "3. Oktober" and "der 3. Tag"."""
    word = (following["word"] or "").lower()
    if len(number) > 2 or not word or word[0].isdigit():
        return False
    return word in _MONTHS or (word_before.lower() in _BEFORE_ORDINAL and not _starts_sentence(following))


def _starts_sentence(following: regex.Match[str]) -> bool:
    """Whether the next word is one that has a capital because a sentence starts with it."""
    word = following["word"] or ""
    is_initial = following["dot"] and len(word) == 1
    return not is_initial and not word[:1].islower() and _compiled("['’]").split(word.lower())[0] in _STARTERS


def _is_in(word: str, words: frozenset[str]) -> bool:
    """An entry in lower case stands for the capitalized word, too, but not for an acronym."""
    return word in words or (word.lower() in words and (len(word) == 1 or not word.isupper()))


def _words(lines: str) -> frozenset[str]:
    return frozenset(lines.split())


# Never at the end of a sentence.
_BEFORE_NAME = _words("""
    dr drs prof mr mrs ms messrs mme mmes mlle mlles St Ste Rep Reps Gov Capt Cpt Lt Cmdr Sgt Cpl Adm Brig Pres
    Supt Insp Amb Atty Asst Assoc vs cf viz e.g i.e eg ie ca approx resp incl excl figs dra sra srta srs dña
    dott dott.ssa dr.ssa avv mons hr hrn frl dipl dipl.-ing priv.-doz geb gest prof.dr z.b d.h u.a bzw vgl evtl
    ggf inkl exkl ggü sog insb bspw zzgl i.d.r s.o s.u p.ex p.e c.-à-d env dhr mevr bijv d.w.z f.eks t.ex d.v.s
    bl.a esim m.in np tzw tzn např tzv pl örn проф г-н г-жа акад им ул напр см ср т.е डॉ श्री श्रीमती प्रो
""")
# Not at the end where a number follows.
_BEFORE_NUMBER = _words("""
    no nos nr nrs núm nº num fig figs eq eqs eqn tab abb abs art arts sec sect secs ch chap chaps kap cap caps
    vol vols bd bde t p pp pg pgs pag pág págs s ss f ff l ll para paras par pt pts app appx ref refs op v vv
    ver ed eds str apt rm tel fax c circ lit aufl jg hft ziff rz rn n r § № п пп рис табл стр гл ст т janv févr
    avr juil déc ene abr dic giu lug ott fev mär okt dez
""")
# At the end or not, as the next word tells.
_EITHER = _words("""
    Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun Gen Sen Col Maj
    Rev Fr Hon Det Arch Sig Ing Sr Insp Ald inc corp ltd co cos llc plc bros gmbh bhd pty jr sr esq al ave blvd
    rd sq hwy pkwy mt mts ft dept univ inst intl natl assn a.m p.m b.c a.d ph.d m.d b.sc m.sc d.phil usw u.s.w
    mio mrd tsd ecc itd itp atd stb Proc Trans Ann Sci Int Eds тыс млн млрд руб sig
""")
# States as newspapers write them.
_STATES = _words("""
    Ala Ariz Ark Calif Colo Conn Del Fla Ga Ill Ind Kan Kans Ky La Mass Md Mich Minn Miss Mo Mont Neb Nebr Nev
    Okla Ore Pa Penn Tenn Tex Va Vt Wash Wis Wisc Wyo Ont Que Alta Sask N.C N.D N.H N.J N.M N.Y S.C S.D R.I W.Va
    D.C B.C P.R
""")
# Nouns whose kinds have letters.
_NAMED_BY_LETTER = _words("""
    vitamin vitamins hepatitis type types class classes group groups grade grades stage phase category part
    section appendix figure table plan option case model level factor protein virus influenza arm cohort step
    item version size coenzyme schedule annex exhibit line block building gate hall platform terminal team
    league
""")
_NAME_PARTICLES = _words("""
    la le les de da el al van von di du dos das los las ten ter zu zum zur
""")
_BEFORE_ORDINAL = _words("""
    der die das dem den des am im vom zum zur beim ab bis seit und ein eine einem einen einer jeder jede jedes
""")
_MONTHS = _words("""
    januar jänner februar märz april mai juni juli august september oktober november dezember jan feb mär apr
    jun jul aug sep sept okt nov dez
""")
# Words that rarely have a capital inside a sentence.
_STARTERS = _words("""
    the a an this that these those it its he she they we you i his her their our my your in on at by for from to
    with without when while where what who which why how if as after before because although though however
    moreover furthermore thus therefore hence but and or so yet then there here all some many most several both
    each every no not none nobody one two three another such since during until under over between among despite
    once only even also first second third finally meanwhile nevertheless according indeed today yesterday mr
    mrs ms is are was were do does did can could would should have has had let please yes der die das ein eine
    dieser diese dieses er sie es wir ich ihr im am auf aus bei mit nach von vom zu zum zur für über unter wenn
    als da doch aber und oder auch nur noch seit während weil dann dort hier alle viele le la les l un une des
    ce cette ces il elle ils elles nous vous je en dans sur pour par avec mais et ou où quand si comme après
    avant el los las una este esta estos él ella con por para pero cuando después lo gli questo questa è per ma
    quando dopo prima os um uma ele ela em na com mas depois de het een deze dit hij zij ze wij ik op van voor
    maar toen в на он она оно они это мы я но и а по с для как если когда после det den jag jeg vi han hun hon
    och og men på när når
""")


@functools.cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern, regex.VERSION1)


def _match(pattern: str, text: str, start: int, end: int) -> "regex.Match[str] | None":
    return _compiled(pattern).match(text, start, end)


def _search(pattern: str, text: str, start: int = 0, end: int | None = None) -> "regex.Match[str] | None":
    return _compiled(pattern).search(text, start, len(text) if end is None else end)


def _is(pattern: str, word: str) -> bool:
    return _compiled(pattern).fullmatch(word) is not None

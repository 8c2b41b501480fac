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
    quoted, quoted_next = (_match(r"(?:>\s?)*+", text, *each) for each in (line, following))
    if quoted[0].count(">") != quoted_next[0].count(">"):
        return True
    start, next_start = quoted.end(), quoted_next.end()
    if _match(_LIST_ITEM, text, next_start, following[1]):
        return True
    if any(_match(_RULE_OR_HEADING, text, *each) for each in ((start, line[1]), (next_start, following[1]))):
        return True
    first_word = _match(r"[^\s\p{Han}\p{Hiragana}\p{Katakana}]*+", text, next_start, following[1])
    fits = _width(text, *line) + 1 + max(len(first_word[0]), 1) <= width
    if not fits:
        return False
    continues = _match(r"\W{0,3}+\p{Ll}", text, next_start, following[1]) or _search(
        r"[,\-‐‑–—]$", text, start, line[1]
    )
    return (
        not continues
        or _search(r"[:\p{STerm}…][\p{Pe}\p{Pf}\"']*+$", text, max(start, line[1] - 8), line[1]) is not None
    )


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
_CANDIDATE = (
    r"(?P<address>(?:https?://|ftp://|www\.)(?:[^\s<>\"。！？；，、“”「」『』（）]*[\w/])?)"
    r"|(?P<ellipsis>\.(?:[ \u00a0]\.){2,}+|\.{2,}+|[…‥⋯]++)"
    # Unicode counts the Burmese comma (U+104A) among the signs that end sentences; Tibetan has only the double shad.
    r"|(?P<sign>(?:[\p{STerm}--[\u104a]]|[｡\u037e༎]|།\s?།|፡፡)++[\p{STerm}…]*+)"
    r"|(?P<question>(?<=\p{Script=Greek}{2}\s?);(?=\s|$))"
    r"|(?P<colon>(?<=\p{Script=Armenian}{2}):(?=\s|$))"
)


def _sentences_of_block(text: str, start: int, end: int, is_cased: bool) -> Iterator[tuple[int, int]]:
    asides = _asides(text, start, end)
    aside = 0  # the first one that has not been passed
    aside_end = start  # where the asides that were opened inside this sentence end
    quotes_from, quotes = start, 0  # straight quotation marks in this sentence so far
    position, pattern = start, _compiled(_CANDIDATE)
    while candidate := pattern.search(text, position, end):
        position = candidate.end()
        if candidate.lastgroup == "address":
            continue
        quotes += text.count('"', quotes_from, position)
        quotes_from = position
        closed = _end_of_closing_signs(text, position, end, quotes % 2 == 1)
        while aside < len(asides) and asides[aside][0] < candidate.start():
            opening, closing = asides[aside]
            if text[start:opening].strip():
                aside_end = max(aside_end, closing)
            aside += 1
        if candidate.start() < aside_end and (
            closed < aside_end or candidate["sign"] is None or "." not in candidate[0]
        ):
            continue
        if _is_end(text, start, candidate, closed, end, is_cased):
            yield start, closed
            start = position = aside_end = quotes_from = closed
            quotes = 0
    if start < end:
        yield start, end


def _end_of_closing_signs(text: str, position: int, end: int, in_quotes: bool) -> int:
    """Where the brackets, quotation marks, further signs, note marks and emoji end that belong to what they follow."""
    while match := _match(_CLOSING, text, position, end):
        if match["straight"] and not in_quotes and _match(r"\w", text, match.end(), end):
            break
        in_quotes = in_quotes and not match["straight"]
        position = match.end()
    if match := _match(_CLOSING_APART, text, position, end):
        if not (match["straight"] and not in_quotes):
            position = match.end()
    return position


_CLOSING = (
    r"[\p{Pe}\p{Pf}\p{STerm}…]"
    r"|\[\d{1,3}(?:[,–-]\s?\d{1,3})*+\](?!\w)"
    r"|(?P<straight>\"|''|'(?!\w))"
    r"|[\p{Pi}](?=\s|$|[\p{Pe}\p{Pf}\p{Pi}])"
    r"|[\p{Extended_Pictographic}\ufe0f\u200d\U0001f3fb-\U0001f3ff]"
)
_CLOSING_APART = (
    r"\s{1,2}(?:(?P<straight>\")|[\p{Pe}\p{Pf}]|'(?:\s?')?|[\p{Extended_Pictographic}--[\d]]\ufe0f?)++(?=\s|$)"
)


def _asides(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The ranges of short pairs of brackets, in the order of their opening ones."""
    found, opened = [], {closing: [] for closing in _BRACKETS.values()}  # type: ignore[var-annotated]
    for match in _compiled(_BRACKET).finditer(text, start, end):
        if match[0] in _BRACKETS:
            opened[_BRACKETS[match[0]]].append(match.start())
        elif opened[match[0]]:
            opening = opened[match[0]].pop()
            if match.end() - opening <= _LONGEST_ASIDE:
                found.append((opening, match.end()))
    return sorted(found)


_BRACKETS = dict(["()", "[]", "{}", "（）", "［］", "｛｝", "「」", "『』", "【】", "〈〉", "《》", "〔〕"])
_BRACKET = f"[{regex.escape(''.join(_BRACKETS) + ''.join(_BRACKETS.values()), special_only=False)}]"


def _is_end(text: str, start: int, candidate: regex.Match[str], closed: int, end: int, is_cased: bool) -> bool:
    """Whether the sign at `candidate`, with the closing signs up to `closed`, ends the sentence that began at `start`."""
    if closed >= end:
        return True
    following = _match(_FOLLOWING, text, closed, end)
    is_apart, word = bool(following["space"]), following["word"]
    signs = candidate[0]
    if _match(_JAPANESE_PARTICLE, text, closed, end) and closed > candidate.end():
        return False
    if not is_apart and not _stands_without_space(text, start, candidate, closed, end):
        return False
    if _match(r"\s*+[,;:%)\]}、，；：]", text, closed, end):
        return False
    if _search(r"។\s?ល$", text, max(start, candidate.start() - 3), candidate.start()):
        return True  # the Khmer "and so on" holds the sign twice
    if _match(r"។\s?ល\s?។", text, candidate.start(), end):
        return False
    is_lower = word is not None and word[0].islower() and is_cased
    has_closing = closed > candidate.end()
    if candidate.lastgroup == "ellipsis":
        if is_lower or word is None:
            return False
        before = text[candidate.start() - 1] if candidate.start() > start else " "
        return not before.isspace() or _starts_sentence(text, following)
    if signs not in _FULL_STOPS:
        return not (is_lower and (has_closing or candidate.lastgroup in ("question", "colon")))
    if is_lower and not regex.match(r"\p{Ll}{1,2}[\p{Lu}\d]", word):
        return False
    if _match(r"[\p{Thai}\p{Lao}]", text, max(candidate.start() - 1, start), end):
        return False  # neither script ends sentences with it, both abbreviate with it
    return not _is_abbreviation(text, start, candidate.start(), following)


_FOLLOWING = r"(?P<space>\s*+)[^\w\s]*+(?P<word>\w++(?:['’]\w++)?+)?+(?P<dot>\.)?+"
_JAPANESE_PARTICLE = r"と|って|の|は|が|を|に|も"


def _stands_without_space(text: str, start: int, candidate: regex.Match[str], closed: int, end: int) -> bool:
    """Whether a sign may end a sentence though no white space follows it."""
    if candidate.lastgroup == "sign" and _search(r"[^.!?․﹒．‼⁇⁈⁉‽…]", candidate[0]):
        return True
    wide = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
    if candidate[0] == "．":
        return not _match(r"\d", text, closed, end)
    if _match(wide, text, closed, end) is None and _match(r"[\p{Ps}\p{Pi}]", text, closed, end) is None:
        return False
    return _match(wide, text, max(candidate.start() - 1, start), end) is not None


def _is_abbreviation(text: str, start: int, stop: int, following: regex.Match[str]) -> bool:
    """Whether the full stop at `stop` belongs to the word before it and does not end the sentence."""
    word_match = _search(
        r"(?:[\p{L}\p{M}\p{N}]|(?<=[\p{L}\p{N}])[.'’\-‐‑/&](?=[\p{L}\p{N}]))++$",
        text,
        max(start, stop - _LONGEST_WORD),
        stop,
    )
    if word_match is None:
        return False
    word = word_match[0]
    if _match(r"\s*+[(\[]?\p{N}{0,3}", text, start, stop) and not text[start : word_match.start()].strip(
        "([ \t\n\u00a0"
    ):
        if _match(r"(?:\d{1,3}(?:\.\d{1,3})*+|[ivxIVX]{1,5}|\p{L})$", word, 0, len(word)):
            return True  # 1. Introduction
    number_follows = following["word"] is not None and following["word"][0].isdigit()
    if number_follows and _is_in(word, _BEFORE_NUMBER):
        return True
    if _is_in(word, _BEFORE_NUMBER) and following["word"] and _match(r"[IVXLC]{1,5}$|\p{Lu}$", following["word"], 0, 9):
        return True
    last = word.rsplit("-", 1)[-1]
    if _is_in(word, _BEFORE_NAME) or _is_in(last, _BEFORE_NAME):
        return True
    if word.isdigit():
        return len(word) <= 2 and _is_ordinal(text, start, word_match.start(), following)
    if len(word) == 1 and word.isalpha():
        return _is_initial(text, start, word_match.start(), word, following)
    if _is_in(word, _EITHER) or _match(r"(?:\p{L}{1,2}\.)+\p{L}{1,2}$", word, 0, len(word)):
        return not _starts_sentence(text, following)
    return False


def _is_initial(text: str, start: int, word_start: int, word: str, following: regex.Match[str]) -> bool:
    """J. K. Rowling, but not vitamin C. Doses."""
    if following["word"] is None or following["word"][0].isdigit():
        return False
    before = _search(r"(\w++)\s++$", text, max(start, word_start - _LONGEST_WORD), word_start)
    if before and (_is_in(before[1], _NAMED_BY_LETTER) or _match(r"\p{Ll}{4,}ine?$", before[1], 0, _LONGEST_WORD)):
        return False
    particle = following["word"].lower() in _NAME_PARTICLES
    return particle or not _starts_sentence(text, following)


def _is_ordinal(text: str, start: int, word_start: int, following: regex.Match[str]) -> bool:
    """The 3. of "am 3. Oktober"."""
    word = following["word"]
    if word is None or word[0].isdigit():
        return False
    if word.lower() in _MONTHS:
        return True
    before = _search(r"(\w++)\s++$", text, max(start, word_start - _LONGEST_WORD), word_start)
    return before is not None and before[1].lower() in _BEFORE_ORDINAL and not _starts_sentence(text, following)


def _starts_sentence(text: str, following: regex.Match[str]) -> bool:
    word = following["word"]
    if word is None or (following["dot"] and len(word) == 1):
        return False
    return not word[0].islower() and regex.split("['’]", word.lower())[0] in _STARTERS


def _is_in(word: str, words: frozenset[str]) -> bool:
    """Entries in lower case stand for any case, others only for themselves."""
    return word in words or word.lower() in words


def _words(lines: str) -> frozenset[str]:
    return frozenset(lines.split())


# Words. What is written with a capital here is known with a capital only: "Sat." is a day, "sat." is not.

_BEFORE_NAME = _words("""
    dr drs prof mr mrs ms mx messrs mme mmes mlle mlles mm st ste sts gen sen rep reps gov capt cpt lt col cmdr sgt cpl maj adm brig
    rev fr hon pres supt insp det ald amb atty asst assoc vs cf viz e.g i.e eg ie ca approx resp incl excl fig figs eq eqs
    Fig Figs
    sra srta dña sr.a srs sig sigra dott dott.ssa avv ing arch on mons hr hrn frl dipl ing dipl.-ing priv.-doz geb gest
    z.b d.h u.a bzw vgl evtl ggf inkl exkl ggü sog insb bspw zzgl i.d.r o.ä s.o s.u p.ex p.e ej c.-à-d
    dhr mevr mw drs ir bijv o.a d.w.z m.b.t t.a.v dr.ssa bl ks tzn tzw prof.dr проф г-н г-жа акад им ул напр см ср т.е т.н
    डॉ श्री श्रीमती प्रो κ κα δρ
""")
_BEFORE_NUMBER = _words("""
    no nos nr nrs núm n.º nº num fig figs eq eqs eqn tab abb abs art arts sec sect secs ch chap chaps kap cap caps vol vols bd bde t
    p pp pg pgs s ss f ff l ll para paras par pt pts ex exs app appx ref refs obs op v vv vs ver rev ed eds st stk ste apt rm
    tel phone fax ext ca c circ approx lit aufl jg hft zl ziff rz rn § str nt n r rs
    № п пп рис табл стр гл ст т
    jan feb mar apr may jun jul aug sep sept oct nov dec mär okt dez janv févr avr juil sept oct nov déc ene abr ago set
    dic gen mag giu lug ott out fev abr mai
""")
_EITHER = _words("""
    Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun
    inc corp ltd co cos llc plc bros gmbh bhd pty jr sr esq al ave blvd rd sq hwy pkwy mt mts ft dept univ inst intl natl assn
    Ala Ariz Ark Calif Colo Conn Del Fla Ga Ill Ind Kan Kans Ky La Mass Md Mich Minn Miss Mo Mont Neb Nebr Nev Okla Ore
    Pa Penn Tenn Tex Va Vt Wash Wis Wisc Wyo Ont Que Alta Sask
    a.m p.m am pm b.c a.d ph.d m.d b.a m.a b.sc m.sc d.c u.s u.k u.n e.u
    str usw u.s.w mio mrd tsd eds tech sci int proc trans ann rev
    тыс млн млрд руб гг
""")
_NAMED_BY_LETTER = _words("""
    vitamin vitamins hepatitis type types class classes group groups grade grades stage phase category part section appendix
    figure table plan option case model level factor protein virus influenza arm cohort step point item version size
    coenzyme schedule annex exhibit line block building gate hall platform terminal team league series drive
""")
_NAME_PARTICLES = _words("la le les de da el al van von di du dos das los las san ten ter zu zum zur")
_BEFORE_ORDINAL = _words(
    "der die das dem den des am im vom zum zur beim ab bis seit und ein eine einem einen einer jeder jede jedes"
)
_MONTHS = _words("""
    januar jänner februar märz april mai juni juli august september oktober november dezember
    jan feb mär apr jun jul aug sep sept okt nov dez
""")
_STARTERS = _words("""
    the a an this that these those it its he she they we you i his her their our my your in on at by for from to with without
    when while where what who which why how if as after before because although though however moreover furthermore thus
    therefore hence but and or so yet then there here all some many most several both each every no not none nobody one two
    three another such since during until under over between among despite once only even also first second third finally
    meanwhile nevertheless according is are was were do does did can could would should have has had let please yes
    der die das ein eine dieser diese dieses er sie es wir ich ihr im am an auf aus bei mit nach von vom zu zum zur für über
    unter wenn als da doch aber und oder auch nur noch seit während weil dann dort hier alle viele
    le la les l un une des ce cette ces il elle ils elles nous vous je en dans sur pour par avec mais et ou où quand si comme
    après avant el los las una este esta estos él ella con por para pero cuando después lo gli questo questa è per ma quando
    dopo prima os as um uma ele ela em na com mas depois de het een deze dit hij zij ze wij ik op van voor maar en
    toen в на он она оно они это мы я но и а по с для как если когда после
""")


@functools.cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    return regex.compile(pattern, regex.VERSION1)


def _match(pattern: str, text: str, start: int, end: int) -> "regex.Match[str] | None":
    return _compiled(pattern).match(text, start, end)


def _search(pattern: str, text: str, start: int = 0, end: int | None = None) -> "regex.Match[str] | None":
    return _compiled(pattern).search(text, start, len(text) if end is None else end)

"""How a corpus splits text into words: rules that are learned from its sentences and saved with a model.

A model has only seen the spans of its training corpus. Where the corpus writes `Nov.` as one word, the spans `Nov` and
`.` were never among the negatives, and a model that meets them takes them for entities. With these rules, raw text is
split as the corpus was.

A rule looks at two neighbouring *atoms* and says whether the text is split between them or whether they stay in one
word. An atom is a run of letters, a run of digits, or one sign; two atoms are neighbours if nothing stands between
them. Rules come on levels, from general to specific, and the most specific rule that fits decides. Where no rule fits,
the general splitter decides. A rule is learned only where it corrects the levels before it, so that there are few.
"""

import functools
import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import regex

LEVELS = ("pairs", "neighbourhoods", "shapes", "words", "contexts")
"""The levels of rules, from general to specific; `_contexts` says what a rule of each level looks at."""

LEXICAL_LEVELS = ("words", "contexts")
"""The levels of rules for single words, of which there are so many that some of them seem to hold by chance."""

MIN_GAIN = 2
"""The fewest places that a rule must correct beyond those that it spoils: one place may be a slip of the annotators."""

MAX_CHANCE = 0.05
"""How many rules of a lexical level may be expected to correct earlier ones by chance, given how often those err."""

MAX_RULES = 1000
"""The most rules that are learned on each level: those that correct most words."""

START, END, TEXT_END = "[start]", "[end]", "[text-end]"
"""What stands in a rule for the white space around a run of atoms, and for the end of the text."""

_Range = tuple[int, int]


@dataclass(frozen=True)
class WordRules:
    """Rules for splitting text into words. `WordRules()` holds none: the general splitter decides everything.

    Args:
        split: for each level out of `LEVELS`, the contexts that are split in their middle.
        kept: for each level, the contexts that stay in one word.

    Raises:
        ValueError: a level is unknown, a rule is not a string, or a rule is both split and kept; the message names the
            field.
    """

    split: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kept: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        decisions: dict[str, dict[str, bool]] = {level: {} for level in LEVELS}
        for name, is_split in (("split", True), ("kept", False)):
            levels = getattr(self, name)
            if not isinstance(levels, Mapping):
                raise ValueError(f"WordRules.{name}: expected a dictionary of lists, got {levels!r}.")
            for level, contexts in levels.items():
                where = f"WordRules.{name}.{level}"
                if level not in LEVELS:
                    raise ValueError(f"{where}: expected a level out of {list(LEVELS)}, got {level!r}.")
                if not isinstance(contexts, (list, tuple)):
                    raise ValueError(f"{where}: expected a list of strings, got {contexts!r}.")
                for context in contexts:
                    if not isinstance(context, str):
                        raise ValueError(f"{where}: expected a list of strings, got {context!r} in it.")
                    if decisions[level].get(context, is_split) != is_split:
                        raise ValueError(f"{where}: expected {context!r} to be split or kept, got both.")
                    decisions[level][context] = is_split
            object.__setattr__(
                self, name, {level: tuple(sorted(set(levels[level]))) for level in LEVELS if levels.get(level)}
            )
        object.__setattr__(self, "_decisions", [decisions[level] for level in LEVELS])

    def __hash__(self) -> int:
        return hash((*self.split.items(), *self.kept.items()))

    def to_dict(self) -> dict[str, dict[str, list[str]]]:
        """The rules as JSON, sorted."""
        return {
            name: {level: list(contexts) for level, contexts in getattr(self, name).items()}
            for name in ("split", "kept")
        }

    @classmethod
    def from_dict(cls, rules: Mapping[str, Any]) -> "WordRules":
        """The rules that `to_dict` wrote.

        Raises:
            ValueError: they have another form; the message names the field.
        """
        if not isinstance(rules, Mapping) or not set(rules) <= {"split", "kept"}:
            raise ValueError(f"WordRules: expected a dictionary with the keys 'split' and 'kept', got {rules!r}.")
        return cls(**rules)


def apply_word_rules(text: str, words: Sequence[_Range], rules: WordRules) -> list[_Range]:
    """The words of a text by rules.

    Args:
        text: a sentence.
        words: its words by the general splitter.
        rules: decide for each two neighbouring atoms. In a text whose signs stand alone already (`Oslo , Norway`), only
            white space splits.
    """
    is_split_already = _is_split_already(text)
    found: list[_Range] = []
    for run in _runs(text, words):
        start = run.ranges[0][0]
        for middle in range(1, len(run.atoms)):
            if run.is_fixed(middle):
                is_split = True
            elif is_split_already:
                is_split = False
            else:
                is_split = _decision(run, middle, rules)
            if is_split:
                found.append((start, run.ranges[middle - 1][1]))
                start = run.ranges[middle][0]
        found.append((start, run.ranges[-1][1]))
    return found


def learn_rules(sentences: Iterable[tuple[str, Sequence[_Range], Sequence[_Range]]]) -> WordRules:
    """The rules that split texts as they were split by hand.

    Level by level, a context gets a rule if the rule corrects at least `MIN_GAIN` places more than it spoils, given the
    rules of the levels before. A rule for a single word must also correct more than chance would (`MAX_CHANCE`): where
    a quarter of all sentences keep their last full stop, two that end in the same word say nothing about it. The same
    sentences give the same rules, in any order.

    Args:
        sentences: of each the text, its words by hand and its words by the general splitter, as character ranges.
    """
    contexts: list[tuple[str, ...]] = []
    wanted: list[bool] = []
    predicted: list[bool] = []
    for text, words, general in sentences:
        starts = {start for start, _ in words}
        for run in _runs(text, general):
            for middle in range(1, len(run.atoms)):
                if not run.is_fixed(middle):
                    contexts.append(_contexts(run, middle))
                    wanted.append(run.ranges[middle][0] in starts)
                    predicted.append(run.is_split[middle])
    rules: dict[str, dict[str, list[str]]] = {"split": {}, "kept": {}}
    error_rates = [0.0] * len(contexts)  # of the rule that decides each place so far
    for number, level in enumerate(LEVELS):
        places = defaultdict(list)
        for place, levels in enumerate(contexts):
            places[levels[number]].append(place)
        gains = []
        for context, found in places.items():
            num_split = sum(wanted[place] for place in found)
            is_split = 2 * num_split > len(found)
            errors = sum(wanted[place] != predicted[place] for place in found)
            gain = errors - (len(found) - num_split if is_split else num_split)
            expected = sum(error_rates[place] for place in found) / len(found)
            if level in LEXICAL_LEVELS and len(places) * _chance_of(errors, len(found), expected) > MAX_CHANCE:
                continue
            if gain >= MIN_GAIN:
                gains.append((-gain, context, is_split))
        for _, context, is_split in sorted(gains)[:MAX_RULES]:
            found = places[context]
            rules["split" if is_split else "kept"].setdefault(level, []).append(context)
            error_rate = sum(wanted[place] != is_split for place in found) / len(found)
            for place in found:
                predicted[place], error_rates[place] = is_split, error_rate
    return WordRules(**rules)


def _chance_of(errors: int, number: int, rate: float) -> float:
    """A bound (Chernoff's) on the chance of at least this many errors, where each of a number has the same rate."""
    share = errors / number
    if share <= rate:
        return 1.0
    if rate == 0:
        return 0.0
    divergence = share * math.log(share / rate)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - rate))
    return math.exp(-number * divergence)


def write_as_text(words: Sequence[str]) -> tuple[str, list[_Range]]:
    """Words as running text: closing signs and clitics stand at the word before, opening signs at the word after.

    Returns:
        The text and the words' half-open character ranges in it.
    """
    text, ranges = "", []
    is_open = False
    joins_next = True
    for word in words:
        joins_before = joins_after = False
        if word in _CLOSING or word.startswith(("'", "’")) or word in ("n't", "n’t"):
            joins_before = True
        elif word in _OPENING:
            joins_after = True
        elif word in _JOINING:
            joins_before = joins_after = True
        elif word == '"':
            joins_before, joins_after = is_open, not is_open
            is_open = not is_open
        elif len(word) == 1:
            category = unicodedata.category(word)
            joins_before, joins_after = category in ("Pe", "Pf"), category in ("Ps", "Pi")
        if not (joins_before or joins_next):
            text += " "
        ranges.append((len(text), len(text) + len(word)))
        text += word
        joins_next = joins_after
    return text, ranges


_CLOSING = frozenset((",", ".", ";", ":", "?", "!", "%", "...", "…"))
_OPENING = frozenset(("`", "``", "$", "£", "€", "#"))
_JOINING = frozenset(("-", "--", "–", "—", "/", "_"))


@dataclass(frozen=True)
class _Run:
    """Atoms between which nothing stands.

    Args:
        atoms: their text.
        ranges: their half-open character ranges.
        is_split: for each atom whether the general splitter begins a word there.
        is_last: whether the text ends here.
    """

    atoms: list[str]
    ranges: list[_Range]
    is_split: list[bool]
    is_last: bool

    @functools.cached_property
    def word_atoms(self) -> _Range:
        """The first and the last atom that is no sign; where all are signs, positions at which no atom is."""
        found = [index for index, atom in enumerate(self.atoms) if _is_word(atom)]
        return (found[0], found[-1]) if found else (len(self.atoms), -1)

    def is_fixed(self, middle: int) -> bool:
        """Whether no rule may join two atoms: letters of scripts that are written without spaces between words."""
        return self.is_split[middle] and _is_word(self.atoms[middle - 1]) and _is_word(self.atoms[middle])


def _runs(text: str, words: Sequence[_Range]) -> Iterator[_Run]:
    pattern = _atom_pattern()
    starts: list[int] = []
    is_split: list[bool] = []
    for number, (start, end) in enumerate(words):
        found = [start, *(match.start() for match in pattern.finditer(text, start, end) if match.start() > start)]
        starts += found
        is_split += [True] + [False] * (len(found) - 1)
        if number + 1 == len(words) or words[number + 1][0] != end:
            ranges = list(zip(starts, [*starts[1:], end]))
            yield _Run([text[slice(*atom)] for atom in ranges], ranges, is_split, number + 1 == len(words))
            starts, is_split = [], []


@functools.cache
def _atom_pattern() -> "regex.Pattern[str]":
    joined = r"[\p{M}\p{Cf}]*"
    return regex.compile(
        rf"(?:\p{{L}}{joined})+?(?=n['’]t(?!\p{{L}}))"  # the `do` of `don't`
        rf"|(?:\p{{L}}{joined})+"
        rf"|(?:\p{{N}}{joined})+"
        rf"|[^\p{{M}}\p{{Cf}}]{joined}(?:(?<=\u200d)[^\p{{M}}\p{{Cf}}]{joined})*"  # a sign, an emoji
    )


def _decision(run: _Run, middle: int, rules: WordRules) -> bool:
    contexts = _contexts(run, middle)
    for context, decisions in zip(reversed(contexts), reversed(rules._decisions)):  # type: ignore[attr-defined]
        if context in decisions:
            return decisions[context]
    return run.is_split[middle]


def _contexts(run: _Run, middle: int) -> tuple[str, ...]:
    """What a rule of each level looks at: a string of atoms or their classes, separated by spaces."""
    atoms = run.atoms
    end = TEXT_END if run.is_last else END
    before = atoms[middle - 2] if middle > 1 else START
    left, right = atoms[middle - 1], atoms[middle]
    after = atoms[middle + 1] if middle + 1 < len(atoms) else end
    # Whether only signs stand around: `("` before a word, `."` after it.
    first_word, last_word = run.word_atoms
    head = "…" if first_word < middle - 1 else START
    tail = "…" if last_word > middle else end
    return (
        f"{_kind(left)} {_kind(right)}",
        f"{_kind(before)} {_kind(left)} {_kind(right)} {_kind(after)}",
        f"{head} {_shape(before)} {_shape(left)} {_shape(right)} {_shape(after)} {tail}",
        f"{left} {right} {_kind(after)}",
        f"{before} {left} {right} {after}",
    )


def _is_word(atom: str) -> bool:
    return atom[0].isalpha() or atom[0].isnumeric()


def _kind(atom: str) -> str:
    """`a` for letters, `0` for digits, otherwise the sign itself."""
    return "a" if atom[0].isalpha() else "0" if atom[0].isnumeric() else atom


def _shape(atom: str) -> str:
    """As `_kind`, and letters by case and number: `a`, `A`, `aa`, `Aa`, `AA`."""
    if not atom[0].isalpha():
        return _kind(atom)
    first = "A" if atom[0].isupper() else "a"
    if len(atom) == 1:
        return first
    return first + ("A" if atom[1:].isupper() else "a")


@functools.cache
def _sign_patterns() -> tuple["regex.Pattern[str]", "regex.Pattern[str]"]:
    alone = r"(?<=\s)(?:[,.)]|['’]\p{L}{1,2}|n['’]t)(?!\S)|(?<!\S)[(`](?!\S)"
    attached = r"[\p{L}\p{N}](?:[,;:?!)]|['’]\p{L}{1,2}|n['’]t)(?!\S)|(?<!\S)\([\p{L}\p{N}]"
    return regex.compile(alone), regex.compile(attached)


def _is_split_already(text: str) -> bool:
    """Whether a text consists of words that were joined by spaces: its signs stand alone."""
    alone, attached = _sign_patterns()
    return alone.search(text) is not None and attached.search(text) is None

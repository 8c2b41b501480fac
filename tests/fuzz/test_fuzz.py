"""A sample of all corruptions in each run of the tests, and that the rule notices what breaks it."""

import os

import pytest

from tests.fuzz.corruptions import Corruption
from tests.fuzz.good_files import dump_json, json_of
from tests.fuzz.judging import REFUSED, RIGHT, TRACEBACK, UNCLEAR, WRONG, Judge, Kind, Outcome, outcome_of
from tests.fuzz.registry import all_kinds, cases_of, judge_in

SAMPLE = 5
SEED = int(os.environ.get("SPERT_FUZZ_SEED", "0"))


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.name)
def test_corrupted_files_are_refused_with_their_place_or_read_rightly(kind, tmp_path):
    if kind.name in ("spaCy", "ADE"):
        pytest.importorskip("spacy")
    with judge_in(kind, tmp_path) as judge:
        verdicts = {str(case): judge.verdict(case) for case in cases_of(kind, judge, SEED, SAMPLE)}
    assert not {case: verdict for case, verdict in verdicts.items() if verdict.is_failure}


def made_up(run):
    """A kind whose reader is a function of the tests; its result is what it prints."""
    return Kind(
        "made up",
        "x.json",
        {"a": 1, "b": 2},
        dump_json,
        json_of,
        lambda folder: outcome_of(lambda: run(folder / "x.json")),
        lambda value: [type(one) for one in value.values()] if all(type(x) is int for x in value.values()) else 1 / 0,
        lambda folder, outcome: [int] * int(outcome.out.split()[0]),
        notice=lambda outcome: outcome.err,
    )


def careful(file):
    value = json_of(file.read_bytes())
    for name in ("a", "b"):
        if type(value.get(name)) is not int:
            raise SystemExit(1)
    print(len(value))


@pytest.mark.parametrize(
    ("run", "value", "expected"),
    [
        (lambda file: print(len(json_of(file.read_bytes()))), {"a": 1, "b": 3}, RIGHT),
        (lambda file: print(len(json_of(file.read_bytes()))), {"a": "1", "b": 3}, WRONG),
        (lambda file: print(len(json_of(file.read_bytes()))), {"b": 2}, WRONG),  # a loss that nothing is said about
        (careful, {"a": None, "b": 2}, UNCLEAR),
    ],
)
def test_the_rule_notices(tmp_path, run, value, expected):
    judge = Judge(made_up(run), tmp_path)
    name = "misspelt" if "a" not in value else "next"
    assert judge.verdict(Corruption(name, ("a",), value)).what == expected


def test_a_traceback_is_noticed(tmp_path):
    def run(file):
        value = json_of(file.read_bytes())
        print(value["a"] + value["b"] - 1)

    judge = Judge(made_up(run), tmp_path)
    assert judge.verdict(Corruption("null", ("a",), {"a": None, "b": 2})).what == TRACEBACK


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("x.json, field 'a': expected a number, got None.", REFUSED),
        ("expected a number, field 'a'.", UNCLEAR),
        ("x.json: something went wrong.", UNCLEAR),
        ("x.json, field 'a': bad.\nx.json, field 'b': bad.", UNCLEAR),
        ("", UNCLEAR),
    ],
)
def test_a_message_names_file_and_field(tmp_path, message, expected):
    judge = Judge(made_up(careful), tmp_path)
    assert judge._of_message(message, Corruption("null", ("a",), {})).what == expected


def test_outcomes_are_those_that_a_user_sees():
    def fail():
        raise KeyError("a")

    assert outcome_of(lambda: print("x")) == Outcome(0, "x\n", "")
    assert outcome_of(fail).trace is not None

"""The rule: what a command has to say about a corrupted file, or what its result has to be."""

import io
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from tests.fuzz.corruptions import Corruption


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Args:
        trace: the traceback that a user would have seen.
    """

    status: int
    out: str
    err: str
    trace: str | None = None


def outcome_of(task: Callable[[], Any]) -> Outcome:
    """Run a task whose exceptions a user would see as a traceback, except for `SystemExit`."""
    out, err = io.StringIO(), io.StringIO()
    status: int = 0
    trace = None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            task()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:
            status, trace = 1, traceback.format_exc()
    return Outcome(status, out.getvalue(), err.getvalue(), trace)


def spert(*arguments: str | Path) -> Outcome:
    """Run the command `spert` in this process, through the function that the console script calls."""
    from spert.cli import main

    with mock.patch.object(sys, "argv", ["spert", *map(str, arguments)]):
        return outcome_of(main)


@dataclass
class Kind:
    """A kind of file: a good one, the command that reads it, and what its result has to be.

    Args:
        name: shown in the table.
        file: the name of the file that is corrupted, in a folder of its own.
        value: what the good file holds.
        dump: a value as the content of a file. A value that cannot be written is no case.
        parse: the content of a file as a value; raises where there is none.
        run: runs the command in a folder that holds the file.
        expected: what the result has to be for a value; raises where the value should have been refused.
        observed: the result, from the folder and the outcome; comparable with what `expected` returns.
        size: how much a result holds, so that a loss is noticed.
        record: what an error calls the record that a path leads into, such as "line 1"; `None` where there is none.
        others: files that stand beside it.
        fields: whether errors name fields.
        notice: what a user is told, which a loss has to change.
        blamed: other files that an error may name: those that do not fit to the corrupted one.
        without: corruptions that are none to this kind.
        longest_message: in characters; a message need not repeat a huge value.
        around: what surrounds all cases of the kind.
    """

    name: str
    file: str
    value: Any
    dump: Callable[[Any], bytes]
    parse: Callable[[bytes], Any]
    run: Callable[[Path], Outcome]
    expected: Callable[[Any], Any]
    observed: Callable[[Path, Outcome], Any]
    size: Callable[[Any], int] = len
    record: Callable[[Corruption], str | None] = lambda corruption: None
    others: dict[str, bytes] = field(default_factory=dict)
    fields: bool = True
    notice: Callable[[Outcome], str] = lambda outcome: outcome.out + outcome.err
    blamed: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    longest_message: int = 4_000
    around: Callable[[], AbstractContextManager[Any]] = nullcontext


REFUSED, RIGHT, SKIPPED = "refused", "right", "skipped"
TRACEBACK, UNCLEAR, WRONG = "traceback", "unclear message", "silent and wrong"
FAILURES = (TRACEBACK, UNCLEAR, WRONG)


@dataclass(frozen=True)
class Verdict:
    """What the rule says of a case."""

    what: str
    detail: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether the rule is broken."""
        return self.what in FAILURES


class Judge:
    """Applies the rule to one kind of file."""

    def __init__(self, kind: Kind, folder: Path):
        self.kind = kind
        self.folder = folder
        for name, content in kind.others.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        (folder / kind.file).parent.mkdir(parents=True, exist_ok=True)
        self.content = kind.dump(kind.value)
        outcome = self._run(self.content)
        assert outcome.status == 0, f"{kind.name}: the good file is refused: {outcome}"
        self.clean = kind.observed(folder, outcome)
        self.clean_notice = kind.notice(outcome)
        assert self.clean == kind.expected(kind.value), f"{kind.name}: the good file's result is {self.clean!r}."

    def _run(self, content: bytes) -> Outcome:
        (self.folder / self.kind.file).write_bytes(content)
        return self.kind.run(self.folder)

    def verdict(self, corruption: Corruption) -> Verdict:
        """What the rule says of a corruption."""
        if corruption.content is not None:
            content = corruption.content
        else:
            try:
                content = self.kind.dump(corruption.value)
            except Exception as error:  # no file can hold this value
                return Verdict(SKIPPED, repr(error)[:200])
        outcome = self._run(content)
        if outcome.trace is not None:
            return Verdict(TRACEBACK, outcome.trace)
        if outcome.status:
            return self._of_message(outcome.err, corruption)
        return self._of_result(outcome, content, corruption)

    def _of_message(self, message: str, corruption: Corruption) -> Verdict:
        kind = self.kind
        wanted = []
        if len(message.strip().splitlines()) != 1:
            wanted.append("one line")
        if len(message) > kind.longest_message:
            wanted.append("a short message")
        if not any(name in message for name in (Path(kind.file).name, *kind.blamed)):
            wanted.append(f"the file {kind.file}")
        record = kind.record(corruption) if corruption.path else None
        if record is not None and re.search(record, message) is None:
            wanted.append(f"the record {record!r}")
        if (
            kind.fields
            and corruption.is_of_a_field
            and any(isinstance(part, str) for part in corruption.path)
            and not any(isinstance(part, str) and part in message for part in corruption.path)
            and not re.search(r"field '|, entry \d|\[key\]|: expected an? ", message)
        ):
            wanted.append("the field")
        if wanted:
            return Verdict(UNCLEAR, f"expected {', '.join(wanted)} in: {message[:600]}")
        return Verdict(REFUSED, message)

    def _of_result(self, outcome: Outcome, content: bytes, corruption: Corruption) -> Verdict:
        kind = self.kind
        result = kind.observed(self.folder, outcome)
        said = kind.notice(outcome) != self.clean_notice
        try:
            expected = kind.expected(kind.parse(content))
        except Exception as error:
            return Verdict(WRONG, f"it should have been refused ({error!r}), and gave {str(result)[:600]}")
        if result != expected:
            return Verdict(WRONG, f"expected {str(expected)[:600]}, got {str(result)[:600]}")
        names_a_field = bool(corruption.path) and isinstance(corruption.path[-1], str)
        loses = corruption.name in ("missing", "misspelt", "null") and names_a_field
        if loses and kind.size(result) < kind.size(self.clean) and not said:
            return Verdict(WRONG, f"what is lost is not said: {str(result)[:600]}")
        return Verdict(RIGHT, str(result)[:200])


def table_of(counts: Sequence[tuple[str, dict[str, int]]]) -> str:
    """Counts of verdicts, a row for each kind, as Markdown."""
    columns = (REFUSED, RIGHT, *FAILURES)
    rows = [f"| kind of file | cases | {' | '.join(columns)} |", f"|---|{'---|' * (len(columns) + 1)}"]
    total = {what: sum(of_kind.get(what, 0) for _, of_kind in counts) for what in columns}
    for name, of_kind in [*counts, ("**all**", total)]:
        numbers = [of_kind.get(what, 0) for what in columns]
        rows.append(f"| {name} | {sum(numbers)} | {' | '.join(map(str, numbers))} |")
    return "\n".join(rows)

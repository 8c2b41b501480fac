"""`spert predict`: from a source through a model into shards, on one process or many, and on after a kill.

A shard holds the results of a fixed range of entries and appears whole or not at all. Processes share nothing but the
folder of shards: process `p` of `n` makes every `n`-th shard that is not there yet. `outputs.py` says where files lie.
"""

import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..files import atomic_writer, is_partial, remove, write_json
from ..locks import FolderLock, wait_for_workers
from ..modeling_spert import SpertModel
from ..prediction import Refused, predict_stream
from ..processing_spert import SpertProcessor
from .outputs import Output
from .plan import PLAN, Plan, read_plan, write_plan
from .records import refusal, sentence_of
from .shards import Shards, how_to_go_on, read_record
from .sinks import Sink, join_lines
from .sources import Entry, Source

MakeShards = Callable[[Shards, list[int]], None]
"""Makes these shards."""


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Args:
        entries: that were read.
        refused: how many of them.
        first_reason: why the first of those was.
        errors: the file of all of them.
        is_old: whether the run was finished before, and nothing was done.
    """

    entries: int
    refused: int
    first_reason: str | None
    errors: Path
    is_old: bool = False


class UnfinishedRunError(RuntimeError):
    """A run failed, and what it had finished is kept."""


def run_plan(
    plan: Plan,
    output: Output,
    sink: Sink,
    make: Callable[[], MakeShards],
    *,
    resume: bool,
    say: Callable[[str], None] = lambda message: None,
) -> Outcome:
    """Carry a plan out: make the shards that are missing, and the output of all of them.

    Args:
        plan: what decides the result.
        output: where it goes.
        sink: how it is written.
        make: loads what is needed to make shards. It is called once everything else has been checked, and before
            anything is written; not at all if no shard is missing.
        resume: go on with the shards of an interrupted run.
        say: what is told about shards that are made again.

    Raises:
        FileExistsError: other files stand in the folder of shards, or shards, and nobody said to go on.
        UnfinishedRunError: something failed after shards had been finished; the message says what, and how to go on.
        BlockingIOError: another run is at work on this output.
        ValueError: to be resumed is another plan, and what differs; or every single entry was refused.
    """
    shards = Shards(output.shards, sink.shard_ending, plan.num_shards)
    finished = _finished_before(plan, output, resume)
    if finished is not None:
        return finished
    _refuse_strangers(shards)
    with FolderLock(shards.folder, "--output"):
        wait_for_workers(shards.folder)
        _prepare(plan, shards, resume, say)
        try:
            missing = shards.missing()
            if missing:
                make_shards = make()
                write_plan(shards.folder, plan)
                make_shards(shards, missing)
            outcome = _join(plan, shards, sink, output)
        except BaseException as error:
            kept = len(shards.finished())
            if not kept:
                shards.clear()
            elif isinstance(error, (OSError, RuntimeError, ValueError)):
                message = str(error) if str(error).endswith((".", "?")) else f"{error}."
                raise UnfinishedRunError(f"{message} {how_to_go_on(shards.folder)}") from error
            raise
        if outcome.refused == plan.length and plan.length:
            shards.clear()
            raise ValueError(f"{plan.input}: no entry could be read, see {output.errors}. {outcome.first_reason}")
        return outcome


def make_shards(
    plan: Plan,
    source: Source,
    shards: Shards,
    sink: Sink,
    model: SpertModel,
    processor: SpertProcessor,
    wanted: list[int],
    *,
    batch_size: int,
    cuda_graphs: bool = False,
    check: Callable[[], None] = lambda: None,
    progress: bool = False,
) -> None:
    """Make shards, in constant memory.

    Args:
        wanted: their numbers, rising.
        batch_size, cuda_graphs: as for `predict_stream`.
        check: called for every entry; raises where the work should end.

    Raises:
        RuntimeError: the input ended early, or the folder of shards is gone.
    """
    of_wanted = set(wanted)
    entries = source.read(lambda number: number // plan.shard_size in of_wanted)
    read: deque[Entry] = deque()  # read ahead and not written yet: at most two windows

    def sentences() -> Iterator[Any]:
        for entry in entries:
            read.append(entry)
            yield sentence_of(entry.value, plan.column, plan.sentences, plan.given_entities)

    found = predict_stream(
        model,
        processor,
        sentences(),
        batch_size=batch_size,
        on_overflow=plan.on_overflow,
        sentences_per_window=plan.sentences_per_window,
        return_all_scores=plan.all_scores,
        cuda_graphs=cuda_graphs,
        **plan.decoding,
    )
    total = sum(len(plan.range_of(shard)) for shard in wanted)
    with (
        contextlib.closing(found),  # type: ignore[type-var]  # it is a generator
        tqdm(total=total, unit="record", disable=not progress, smoothing=0.1) as bar,
    ):
        for shard in wanted:
            _refuse_lost(shards)
            with _ShardWriter(plan, source, shards, sink, shard) as writer:
                for number, result in zip(plan.range_of(shard), found, strict=False):
                    entry = read.popleft()
                    assert entry.number == number
                    writer.write(entry, result)
                    bar.update()
                    check()


def maker_of(
    plan: Plan,
    source: Source,
    sink: Sink,
    model: str | os.PathLike[str],
    *,
    batch_size: int,
    cuda_graphs: bool = False,
    check: Callable[[], None],
    device_index: int = 0,
    is_first: bool = True,
) -> MakeShards:
    """Load a model, with which shards can then be made.

    Args:
        model: its folder.
        batch_size, cuda_graphs: as for `predict_stream`.
        check: called for every entry; raises where the work should end.
        device_index: of several accelerators.
        is_first: whether this is the process that shows how far the work has come, if there is a terminal.

    Raises:
        ValueError: the model is refused.
    """
    from ..loading import load_model

    loaded, processor = load_model(str(model), plan.dtype, device_index)
    progress = is_first and sys.stderr is not None and sys.stderr.isatty()

    def make(shards: Shards, wanted: list[int]) -> None:
        make_shards(
            plan,
            source,
            shards,
            sink,
            loaded,
            processor,
            wanted,
            batch_size=batch_size,
            cuda_graphs=cuda_graphs,
            check=check,
            progress=progress,
        )

    return make


class _ShardWriter:
    """Writes one shard and its refused entries. They appear when the block ends, the note that counts them last."""

    def __init__(self, plan: Plan, source: Source, shards: Shards, sink: Sink, shard: int):
        self._plan, self._source, self._shards, self._shard = plan, source, shards, shard
        self._files = contextlib.ExitStack()
        self._write_result = self._files.enter_context(sink.shard(shards.part(shard)))
        self._errors: Any = None
        self.records, self.refused = 0, 0
        self.first_reason: str | None = None

    def __enter__(self) -> "_ShardWriter":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None:
            self._files.__exit__(kind, error, trace)
            return
        expected = len(self._plan.range_of(self._shard))
        with self._files:
            if self.records + self.refused < expected:
                raise RuntimeError(
                    f"{self._plan.input}: expected {self._plan.length} entries, but it ended early. Has it changed?"
                )
            _refuse_lost(self._shards)
        if not self.refused:
            remove(self._shards.errors(self._shard))
        self._shards.finish(self._shard, self.records, self.refused, self.first_reason)

    def write(self, entry: Entry, result: dict[str, Any] | Refused) -> None:
        """Write what was found in an entry, or why nothing was."""
        if not isinstance(result, Refused):
            try:
                self._write_result(entry.value, result)
                self.records += 1
                return
            except (ValueError, RecursionError) as error:
                result = Refused(str(error))
        if self._errors is None:
            self._errors = self._files.enter_context(atomic_writer(self._shards.errors(self._shard)))
        reason = result.reason.removeprefix("SpertProcessor: ")
        reason = f"{self._source.where(entry)}{', ' if reason.startswith('field ') else ': '}{reason}"
        self._errors.write(refusal(entry.number, reason, entry.value) + "\n")
        self.first_reason = self.first_reason or reason
        self.refused += 1


def _finished_before(plan: Plan, output: Output, resume: bool) -> Outcome | None:
    """The outcome of a run that is to be resumed and has nothing left to do.

    Raises:
        FileExistsError: a folder holds the result of another run.
        ValueError: the finished run was another one.
    """
    record = read_record(output.record)
    if record is None or (not resume and not output.is_folder) or (output.shards / PLAN).is_file():
        return None
    if not resume:
        raise FileExistsError(
            f"{output.name}: the result of a finished run stands here. Name another --output, or remove the folder."
        )
    sizes = {output.path / name: size for name, size in record["sizes"].items()}
    if not all(path.is_file() and path.stat().st_size == size for path, size in sizes.items()):
        return None
    different = plan.differences(record["plan"])
    if different:
        raise ValueError(
            f"{output.name}: expected the settings of the run that made it, got others: {'; '.join(different)}. Name "
            f"another --output, or leave out --resume."
        )
    if not output.is_folder and output.shards.exists():  # the run was killed while it tidied up
        _refuse_strangers(Shards(output.shards, "", 0))
        with FolderLock(output.shards, "--output"):
            wait_for_workers(output.shards)
            Shards(output.shards, "", 0).clear()
    return Outcome(plan.length, record["refused"], None, output.errors, is_old=True)


def _refuse_strangers(shards: Shards) -> None:
    strangers = shards.strangers()
    if strangers:
        raise FileExistsError(
            f"{shards.folder}: expected an empty folder for shards, got one that holds other files: "
            f"{', '.join(strangers[:5])}."
        )


def _prepare(plan: Plan, shards: Shards, resume: bool, say: Callable[[str], None]) -> None:
    """See what an interrupted run left, and remove what cannot be used."""
    for file in list(shards.folder.glob(".*")):
        if is_partial(file):
            remove(file)
    if not (shards.folder / PLAN).exists():  # a run that was killed before its first shard, or while it tidied up
        for shard in shards.finished():
            shards.discard(shard)
        return
    there, finished = read_plan(shards.folder), shards.finished()
    if not resume:
        if finished:
            raise FileExistsError(
                f"{shards.folder}: shards stand here. Go on with --resume, or remove the folder to begin anew."
            )
        return
    if there is None:
        say(f"{shards.folder}: the plan of the interrupted run cannot be read. All shards are made again.")
        damaged = finished
    else:
        different = plan.differences(there)
        if different and not finished:
            return
        if different:
            raise ValueError(
                f"{shards.folder}: expected the settings of the interrupted run, got others: {'; '.join(different)}. "
                f"Remove the folder to begin anew."
            )
        damaged = [shard for shard in finished if shards.check(shard, len(plan.range_of(shard))) is None]
        for shard in damaged:
            say(f"{shards.part(shard)}: is damaged, and made again.")
    for shard in damaged:
        shards.discard(shard)


def _join(plan: Plan, shards: Shards, sink: Sink, output: Output) -> Outcome:
    """Make the output of all shards, the file of what was refused, and the record of the run.

    Raises:
        RuntimeError: a shard is missing, or is not as it was written.
    """
    notes = {}
    for shard in range(plan.num_shards):
        note = shards.check(shard, len(plan.range_of(shard)))
        if note is None:
            raise RuntimeError(f"{shards.part(shard)}: expected a whole shard, got one that is missing or damaged.")
        notes[shard] = note
    refused = sum(note.refused for note in notes.values())
    reasons = (note.first_reason for note in notes.values() if note.first_reason is not None)
    outcome = Outcome(plan.length, refused, next(reasons, None), output.errors)
    if refused:
        join_lines(output.errors, [shards.errors(shard) for shard, note in notes.items() if note.refused])
    else:
        remove(output.errors)
    if plan.length and refused == plan.length:
        return outcome
    parts = [shards.part(shard) for shard in notes]
    if not output.is_folder:
        sink.join(output.path, parts)
    files = parts if output.is_folder else [output.path]
    sizes = {file.name if output.is_folder else "": file.stat().st_size for file in files}
    record = {"plan": plan.to_dict(), "records": plan.length - refused, "refused": refused, "sizes": sizes}
    if output.is_folder:
        record["sha256"] = {part.name: note.sha256 for part, note in zip(parts, notes.values())}
    write_json(output.record, record)
    if output.is_folder:
        shards.keep_only_parts()
    else:
        shards.clear()
    return outcome


def _refuse_lost(shards: Shards) -> None:
    """*Raises* `RuntimeError` where somebody removed the folder: shards that are made now would stand there alone."""
    if not (shards.folder / PLAN).is_file():
        raise RuntimeError(f"{shards.folder}: the folder of shards has been removed while the run was at work.")

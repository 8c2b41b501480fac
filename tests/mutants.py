"""Which small faults would no test notice? `make mutants N=60 SEED=0` samples some and prints those that live.

A mutant is a file with one small change: a comparison that is off by one, a condition that always holds, a statement
that is left out, … Each is put into a copy of the tree in a temporary folder, where the fast tests of its module run
until one fails. The tree itself is never written to.

A mutant that lives wants a test, or shows code that nothing needs, or changes nothing that anybody could notice: a
person has to say which. mutmut and cosmic-ray were tried first. mutmut finds functions by the path of their file, but
the root files are modules of `spert`, so that it finds no test for any mutant; cosmic-ray has one test command for all
files; and neither draws a sample.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

TESTS = {
    "batches_spert.py": "processing windows prediction",
    "candidates_spert.py": "golden spans modeling",
    "collating_spert.py": "golden collating",
    "decoding_spert.py": "decoding windows golden modeling::TestGivenEntities",
    "documents_spert.py": "document_input pipeline windows",
    "encoders_spert.py": "configuration",
    "encoding_spert.py": "windows processing",
    "heads_spert.py": "golden modeling",
    "losses_spert.py": "golden modeling",
    "modeling_spert.py": "golden modeling",
    "options_spert.py": "decoding configuration pipeline",
    "pieces_spert.py": "processing windows",
    "pipeline_spert.py": "pipeline",
    "processing_spert.py": "processing windows pipeline",
    "results_spert.py": "windows pipeline",
    "sampling_spert.py": "sampling collating",
    "spans_spert.py": "spans golden modeling",
    "weights_spert.py": "loading",
    "windows_spert.py": "windows",
    "spert/corpora/checking.py": "corpora corpus_commands",
    "spert/corpora/columnar.py": "columnar",
    "spert/corpora/folds.py": "folds",
    "spert/evaluation/scores.py": "scores golden",
    "spert/extraction/outputs.py": "extraction_runs extraction",
    "spert/extraction/plan.py": "extraction_runs extraction",
    "spert/extraction/records.py": "extraction_bad_records extraction",
    "spert/extraction/shards.py": "extraction_runs extraction",
    "spert/extraction/sinks.py": "extraction_bad_records extraction",
    "spert/extraction/sources.py": "extraction_bad_records extraction",
    "spert/training/batches.py": "batches training::TestBatches",
    "spert/training/checkpoints.py": "checkpoint_files checkpoints",
}
"""The files that are mutated, and the names of their test files (or of a class in one), the likeliest to fail first."""

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".build", ".hypothesis", ".pytest_cache", ".mypy_cache", ".ruff_cache", "__pycache__", "outputs"
)

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
SAME_ON_A_CPU = {"device", "non_blocking"}
"""Arguments that no test without a GPU can miss."""
NOT_SWAPPED = {"isinstance", "getattr", "map", "max", "min", "maximum", "minimum"}
"""Functions to which the order means nothing, or which fail at once with another one."""


@dataclass(frozen=True)
class Mutant:
    """One change to one file: what stands between two positions, `(line, byte)`, and what takes its place."""

    file: str
    start: tuple[int, int]
    end: tuple[int, int]
    before: str
    after: str

    def apply(self, root: Path) -> None:
        """Write the changed file into a tree."""
        path = root / self.file
        lines = path.read_bytes().splitlines(keepends=True)
        (first, begin), (last, stop) = self.start, self.end
        head, tail = lines[first - 1][:begin], lines[last - 1][stop:]
        lines[first - 1 : last] = [head + self.after.encode() + tail]
        path.write_bytes(b"".join(lines))

    def __str__(self) -> str:
        before, after = (" ".join(text.split()) for text in (self.before, self.after))
        return f"{self.file}:{self.start[0]}  {before}  ->  {after}"


def mutants_of(file: str) -> list[Mutant]:
    """All mutants of a file that are tried, in the order of its lines."""
    source = (ROOT / file).read_text()

    def mutant(node: ast.AST, changed: ast.AST | str) -> Mutant:
        assert isinstance(node, (ast.expr, ast.stmt))
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        after = changed if isinstance(changed, str) else ast.unparse(changed)
        if isinstance(node, ast.expr):
            after = f"({after})"
        start, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
        return Mutant(file, start, end, ast.unparse(node), after)

    return [
        mutant(changed_node, changed)
        for node in _nodes(ast.parse(source))
        for changed_node, changed in [
            *((node, changed) for changed in _changes(node)),
            *((node.test, value) for value in ("True", "False") if isinstance(node, ast.If)),
        ]
    ]


def _nodes(node: ast.AST, depth: int = 0) -> Iterator[ast.AST]:
    """What is worth changing: no annotations, no decorators, no messages, no assertions for the type checker."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        if depth == 0 and isinstance(node, ast.Module) and name != "body":
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, (ast.Raise, ast.Assert, ast.JoinedStr)):
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if depth == 0 and isinstance(child, ast.Assign) and isinstance(child.value, ast.BinOp):
                continue  # an alias of types
            if isinstance(child, ast.Call) and ast.unparse(child.func).startswith(("logger.", "TypeVar")):
                continue
            yield from _nodes(child, depth + 1)


def _changes(node: ast.AST) -> Iterator[ast.AST | str]:
    """What may take a node's place."""

    def with_(change: Callable[[Any], None]) -> ast.AST:
        changed = copy.deepcopy(node)
        change(changed)
        return changed

    match node:
        case ast.Compare(ops=operators):
            for index, operator in enumerate(operators):
                other = COMPARISONS[type(operator)]()
                yield with_(lambda changed, i=index, o=other: changed.ops.__setitem__(i, o))
        case ast.BoolOp(op=operator):
            opposite = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield with_(lambda changed: setattr(changed, "op", opposite))
        case ast.BinOp(op=operator) if type(operator) in OPERATORS:
            yield with_(lambda changed: setattr(changed, "op", OPERATORS[type(operator)]()))
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(value)):
            yield str(value + 1)
            if value:
                yield str(value - 1)
        case ast.Constant(value=float(value)):
            yield str(value * 2 or 1.0)
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Continue():
            yield "pass"
        case ast.Call(func=function, args=arguments, keywords=keywords):
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            if name in NAMES:
                field = "id" if isinstance(function, ast.Name) else "attr"
                yield with_(lambda changed: setattr(changed.func, field, NAMES[name]))
            starred = any(isinstance(argument, ast.Starred) for argument in arguments[:2])
            if not starred and name not in NOT_SWAPPED and len({ast.dump(argument) for argument in arguments[:2]}) == 2:
                swapped = [arguments[1], arguments[0], *arguments[2:]]
                yield with_(lambda changed: setattr(changed, "args", swapped))
            for index, keyword in enumerate(keywords):
                if keyword.arg not in SAME_ON_A_CPU:
                    yield with_(lambda changed, i=index: changed.keywords.pop(i))


def sample(number: int, seed: int, files: list[str]) -> list[Mutant]:
    """Mutants drawn evenly from all of these files."""
    everything = [mutant for file in files for mutant in mutants_of(file)]
    return random.Random(seed).sample(everything, min(number, len(everything)))


def run_tests(tree: Path, tests: list[str], timeout: float) -> bool:
    """Whether all of these tests pass in a tree. They run in a fork of this process, which has imported the large
    libraries; a run that takes too long has not passed.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = _run_pytest(tree, tests)
        finally:
            os._exit(code)
    end = time.monotonic() + timeout
    while True:
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            return os.waitstatus_to_exitcode(status) == 0
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.05)


def _run_pytest(tree: Path, tests: list[str]) -> int:
    import pytest

    os.setpgid(0, 0)  # what the tests start ends with them
    os.chdir(tree)
    sys.dont_write_bytecode = True  # files that change within a second have one time stamp
    os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    sys.path[:] = [str(tree), *(path for path in sys.path if not path or Path(path).resolve() not in _OURS)]
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    return int(pytest.main(["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests]))


def tests_of(file: str) -> list[str]:
    """What pytest takes for the tests of a file."""
    names = (name.partition("::") for name in TESTS[file].split())
    return [f"tests/test_{name}.py{colons}{part}" for name, colons, part in names]


_OURS = (ROOT, ROOT / "tests")


def main() -> None:
    """Try a sample and print what lives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=60, help="mutants to try (60)")
    parser.add_argument("--seed", type=int, default=0, help="which sample (0)")
    parser.add_argument("--files", nargs="*", default=list(TESTS), choices=list(TESTS), help="files to mutate (all)")
    parser.add_argument("--list", action="store_true", help="print the sample and run nothing")
    arguments = parser.parse_args()
    mutants = sample(arguments.number, arguments.seed, arguments.files)
    if arguments.list:
        print(*mutants, sep="\n")
        return

    import datasets  # noqa: F401  # imported once, for all forks
    import hypothesis  # noqa: F401
    import torch
    import transformers.pipelines
    import transformers.trainer  # noqa: F401

    torch.set_num_threads(1)
    survivors: list[Mutant] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        tree = Path(temporary) / "tree"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        start = time.monotonic()
        everything = sorted({test for mutant in mutants for test in tests_of(mutant.file)})
        if not run_tests(tree, everything, timeout=3600):
            sys.exit(f"The tests fail without any change: pytest -m 'not slow' {' '.join(everything)}")
        timeout = 60 + 2 * (time.monotonic() - start)
        for number, mutant in enumerate(sorted(mutants, key=str), start=1):
            original = (tree / mutant.file).read_bytes()
            mutant.apply(tree)
            lives = run_tests(tree, tests_of(mutant.file), timeout)
            (tree / mutant.file).write_bytes(original)
            if lives:
                survivors.append(mutant)
            print(f"{number:3}/{len(mutants)}  {'LIVES ' if lives else 'killed'}  {mutant}", flush=True)
    print(f"\n{len(mutants)} mutants, {len(mutants) - len(survivors)} killed, {len(survivors)} live:")
    print(*survivors, sep="\n")


if __name__ == "__main__":
    main()

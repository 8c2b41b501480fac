"""Judge every corruption of every kind of file, and print a table of counts.

python -m tests.fuzz                       # all of it: minutes
python -m tests.fuzz --kind brat --show 5  # one kind, with the first five failures of each sort
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.registry import all_kinds, cases_of, judge_in


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", action="append", help="A kind's name, or a part of it. Default: all.")
    parser.add_argument("--seed", type=int, default=0, help="Decides where files are cut and which bytes change.")
    parser.add_argument("--sample", type=int, help="Judge so many cases of each kind. Default: all of them.")
    parser.add_argument("--show", type=int, default=3, help="Failures of each sort to print.")
    arguments = parser.parse_args()
    counts = []
    for kind in all_kinds():
        if arguments.kind and not any(part in kind.name for part in arguments.kind):
            continue
        start, verdicts, shown = time.perf_counter(), Counter[str](), Counter[str]()
        with tempfile.TemporaryDirectory() as folder, judge_in(kind, Path(folder)) as judge:
            for corruption in cases_of(kind, judge, arguments.seed, arguments.sample):
                verdict = judge.verdict(corruption)
                verdicts[verdict.what] += 1
                if verdict.is_failure:
                    shown[verdict.what] += 1
                    if shown[verdict.what] <= arguments.show:
                        print(f"{kind.name}, {corruption}: {verdict.what}: {verdict.detail[-1500:]}", file=sys.stderr)
        print(f"{kind.name}: {dict(verdicts)}, {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        counts.append((kind.name, dict(verdicts)))
    from tests.fuzz.judging import FAILURES, table_of

    print(table_of(counts))
    sys.exit(any(of_kind.get(what) for _, of_kind in counts for what in FAILURES))


if __name__ == "__main__":
    main()

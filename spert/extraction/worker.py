"""One of several processes of `spert predict`, which starts it: `python -m spert.extraction.worker FOLDER …`."""

import argparse
import os
import sys
from pathlib import Path

from .lock import worker_lock
from .processes import end_with_the_starter
from .stopping import Stopped, occupy_standard_streams, say, stoppable


def main() -> None:
    """Make this process's share of the shards that are missing in a folder that holds a plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--format", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    arguments = parser.parse_args()
    occupy_standard_streams()
    index, number = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    try:
        with stoppable() as check, worker_lock(arguments.folder, index):
            end_with_the_starter()
            from ..commands.shared import load_model
            from .bulk import make_shards
            from .plan import Plan, read_plan
            from .shards import Shards
            from .sinks import sink_of
            from .sources import open_source

            values = read_plan(arguments.folder)
            if values is None:
                raise RuntimeError(f"{arguments.folder}: expected the plan of a run, got none that can be read.")
            plan = Plan(**values)
            source = open_source(arguments.input, plan.split)
            sink = sink_of(arguments.format, column=plan.column, schema=source.schema, all_scores=plan.all_scores)
            shards = Shards(arguments.folder, sink.shard_ending, plan.num_shards)
            loaded, processor = load_model(arguments.model, plan.dtype, int(os.environ["LOCAL_RANK"]))
            make_shards(
                plan,
                source,
                shards,
                sink,
                loaded,
                processor,
                [shard for shard in shards.missing() if shard % number == index],
                batch_size=arguments.batch_size,
                check=check,
                progress=index == 0 and sys.stderr is not None and sys.stderr.isatty(),
            )
    except (ValueError, OSError, RuntimeError, ModuleNotFoundError) as error:
        say(f"spert: {error}", to_errors=True)
        sys.exit(1)
    except Stopped as stopped:
        sys.exit(stopped.exit_code)


if __name__ == "__main__":
    main()

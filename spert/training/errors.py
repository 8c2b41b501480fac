"""How `train_accelerate.py` reports failures: in one line if the user can mend it, with a traceback if it is a bug."""

import os
import signal
import sys
from collections.abc import Callable

from ..processes import leave_if_starter_is_gone

_SAME_ON_ALL_PROCESSES = (ValueError, FloatingPointError, FileNotFoundError, FileExistsError, BlockingIOError)


def run_script(main: Callable[[], None]) -> None:
    """Run a script's main function, and exit with the status 1 if an input, a setting or the machine made it fail.

    Such errors are `ValueError`, `OSError` and `FloatingPointError`. They are printed in one line, without a traceback
    unless the environment variable `SPERT_TRACEBACK` is set. If all processes of a run fail alike, the first prints.
    """
    process = int(os.environ.get("RANK", "0"))
    try:
        main()
    except (ValueError, OSError, FloatingPointError) as error:
        if os.environ.get("SPERT_TRACEBACK"):
            raise
        if process == 0 or not isinstance(error, _SAME_ON_ALL_PROCESSES):
            where = f", process {process}" if process else ""
            print(f"train_accelerate.py{where}: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        if process == 0:
            print("train_accelerate.py: interrupted", file=sys.stderr, flush=True)
        sys.exit(128 + signal.SIGINT)
    finally:
        leave_if_starter_is_gone()

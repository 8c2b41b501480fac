"""Where the results of `spert predict` go: one file, or a folder of shards. This is decided here and nowhere else.

```
found.jsonl                     found/                        the result
  found.jsonl.shards/             found/                      shards, and what the run knows about them
  found.jsonl.errors.jsonl        found/errors.jsonl          records that were refused
  found.jsonl.run.json            found/run.json              what the result was made of
```
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

FORMATS = (".json", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Output:
    """An output and the files that belong to it.

    Args:
        name: as the user named it.
        is_folder: whether its shards stay in it, in place of being joined into one file.
    """

    name: str
    is_folder: bool

    @property
    def path(self) -> Path:
        """The file or the folder."""
        return Path(self.name)

    @property
    def format(self) -> str:
        """One of `FORMATS`; shards that stay are JSON Lines."""
        return ".jsonl" if self.is_folder else self.path.suffix

    @property
    def shards(self) -> Path:
        """The folder of shards."""
        return self.path if self.is_folder else self._beside(".shards")

    @property
    def errors(self) -> Path:
        """The records that were refused, where there are any."""
        return self.path / "errors.jsonl" if self.is_folder else self._beside(".errors.jsonl")

    @property
    def record(self) -> Path:
        """The plan of the finished run, and what became of it."""
        return self.path / "run.json" if self.is_folder else self._beside(".run.json")

    def check_writable(self) -> None:
        """*Raises* `OSError` where nothing can be written. Nothing is left behind."""
        place = self.path if self.is_folder else self.path.parent
        while not place.exists() and place != place.parent:
            place = place.parent
        try:
            if not place.is_dir():
                raise NotADirectoryError(f"{place} is not a folder")
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            reason = error.strerror or str(error)
            raise OSError(f"{self.name}: expected an output that can be written, but {place}: {reason}.") from error

    def refuse_input(self, source: Path) -> None:
        """*Raises* `ValueError` where this run would write over its own input."""
        for place in (self.path, self.errors, self.record):
            if _is_same(source, place):
                raise ValueError(
                    f"{self.name}: expected another file than the input, but the run would write over {source}, which "
                    f"it reads. Name another --output."
                )

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(self.path.name + ending)


def output_of(name: str) -> Output:
    """The output of that name.

    A name that ends in a slash, that of an existing folder, and one without a dot are folders; any other name is a file
    and must end in one of `FORMATS`.

    Raises:
        ValueError: the ending is another, or a file has the name of the folder.
    """
    path = Path(name)
    ends_in_slash = name.endswith(tuple(filter(None, (os.sep, os.altsep))))
    if not name or not (path.name or path.is_dir()):
        raise ValueError("--output: expected the name of a file or a folder, got none.")
    if ends_in_slash or path.is_dir() or not path.suffix:
        if path.exists() and not path.is_dir():
            raise ValueError(f"{name}: expected a folder, or no file of that name yet, got a file.")
        return Output(name, is_folder=True)
    if path.suffix not in FORMATS:
        raise ValueError(
            f"{name}: expected a file that ends in .json (SpERT JSON) or .jsonl (JSON Lines) or .parquet, or a folder. "
            f"The name of a new folder ends in a slash if it has a dot."
        )
    return Output(name, is_folder=False)


def _is_same(first: Path, second: Path) -> bool:
    if first.exists() and second.exists():
        return os.path.samefile(first, second)
    return first.resolve() == second.resolve()

"""`spert predict` in this process, as the tests of bulk extraction call it."""

import json

from typer.testing import CliRunner

from spert.cli import app


def run(*words, code=0):
    """Run `spert` with these words; what it printed, or the error's message."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        assert code == 1, done.exception
        assert isinstance(done.exception, (ValueError, OSError, RuntimeError)), repr(done.exception)
        return str(done.exception)
    assert done.exit_code == code, done.output
    return done.output


def predict_files(model, source, target, *flags, code=0):
    return run("predict", "--model", model, "--input", source, "--output", target, *flags, code=code)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def written(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())

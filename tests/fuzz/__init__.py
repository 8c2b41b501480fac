"""Good small files of every kind that is read, each corrupted in every field, and the rule that decides what is right.

The rule: a command ends with an exit status other than 0 and one message that names the file, the record (or line) and
the field, where there is one; or its result is right. A traceback, a message without a place, and a result that is
wrong without a word are failures.

    python -m tests.fuzz --help       # what `make fuzz` runs: every corruption of every kind, and a table of counts

`corruptions` makes the corruptions, `corpus_kinds`, `run_kinds` and `model_kinds` hold the kinds of files, `judging`
applies the rule. A new kind is a `judging.Kind` in the list `KINDS` of one of these modules. `good_files` holds the
good files of corpora, and `strict_readers` says what such files mean.
"""

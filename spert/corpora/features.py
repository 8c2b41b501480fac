"""The columns of a corpus as `datasets` has them. A file of its own, because importing `datasets` takes seconds."""

from datasets import Features, List, Value

FEATURES = Features(
    {
        "id": Value("string"),
        "tokens": List(Value("string")),
        "entities": List({"type": Value("string"), "start": Value("int64"), "end": Value("int64")}),
        "relations": List({"type": Value("string"), "head": Value("int64"), "tail": Value("int64")}),
    }
)
"""The columns of every corpus. `start` and `end` are a half-open range of words; `head` and `tail` index `entities`."""

TEXT_FEATURES = Features({"text": Value("string"), "words": List(List(Value("int64")))})
"""The columns that a split has besides where any of its records came with a text of its own.

`text` is the sentence as it was written, and `words` holds a half-open range of its characters for each token. Both are
null in records without a text of their own; such a record's text is its tokens, joined by one space.
"""

"""The columns of a corpus, as a `datasets.Dataset` holds it."""

from datasets import Dataset, Features, List, Value

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


def words_and_texts(rows: Dataset) -> tuple[list[list[str]], list[str | None] | None]:
    """The words of each sentence, and the texts that they come from, for `SpertProcessor.learn_words`.

    Returns:
        The words, and for each sentence its own text or `None`; no texts where the split has none at all.
    """
    return list(rows["tokens"]), list(rows["text"]) if "text" in rows.column_names else None

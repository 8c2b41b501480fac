"""Two systems in one page: what one of them gets wrong and the other does not."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..corpora.types import CorpusTypes
from .files import read_scored_predictions
from .inspected import Inspected, shown_name, system_of
from .page import write_page
from .readings import reading_of
from .report import count_shared, report_of


def write_comparison(
    path: str | os.PathLike[str],
    records: Sequence[Mapping[str, Any]],
    records_name: str,
    files: Sequence[Path],
    comparison: Mapping[str, Any],
    types: CorpusTypes | None = None,
    training: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write the page on two systems.

    Args:
        path: of the HTML file.
        records: annotated sentences.
        records_name: for people and errors.
        files: the predictions of the first and of the second system.
        comparison: what `evaluation.comparison.compare` found.
        types: of the corpus.
        training: what the systems were trained on.

    Raises:
        ValueError: predictions are refused, or are those of other sentences.
    """
    symmetric = list(types.symmetric_relations) if types else []
    systems = []
    for file in files:
        found = read_scored_predictions(file, records, records_name, types)
        readings = [reading_of(record, symmetric) for record in found]
        systems.append(system_of(shown_name(file), records, readings, symmetric))
    about = {
        "first": systems[0].name,
        "second": systems[1].name,
        "sentences": f"{len(records):,} of {records_name}",
        "symmetric relations": ", ".join(symmetric) or "none",
    }
    title = f"{systems[0].name} and {systems[1].name} compared"
    inspected = Inspected.of(title, about, records, systems, symmetric, training)
    report = report_of(inspected) | {"comparison": comparison, "shared": count_shared(inspected)}
    write_page(path, inspected, report)

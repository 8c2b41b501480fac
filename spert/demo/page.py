"""The page itself, in Gradio: what a visitor sees, and what happens when something is pressed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from .drawing import draw, standalone
from .graph import graph_of, node_link_json
from .markup import download, entity_table, escape, highlighted, message, relation_table, sentence_table, summary
from .reading import OVERLAPS, SENTENCES, Choices, Reader, UnreadableError, read, read_file

STYLE = Path(__file__).with_name("style.css").read_text(encoding="utf-8")

_OVERLAP_LABELS = {"all": "keep all", "nested": "only nested", "none": "none"}
_SENTENCE_LABELS = {"found": "found", "line": "each line is one", "one": "the text is one"}
_NUM_RESULTS = 6


def theme() -> gr.themes.Base:
    """The look of the page. Its fonts come with Gradio: of its semi-bold ones, some lack most letters."""
    return gr.themes.Default(
        primary_hue="blue",
        neutral_hue="slate",
        font=[gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )


def build_page(reader: Reader, examples: Sequence[str] = ()) -> gr.Blocks:
    """The page of a model.

    Args:
        reader: the model.
        examples: texts to choose from. The page opens with the first of them, read.
    """
    with gr.Blocks(title=f"SpERT: {reader.name}", analytics_enabled=False, delete_cache=(600, 600)) as page:
        gr.HTML(
            "<h1>Entities and relations</h1><p>Type a text to see which entities the model "
            f"<b>{escape(reader.name)}</b> finds in it, and how they are related.</p>"
        )
        with gr.Row(elem_id="spert-columns"):
            with gr.Column(scale=5, min_width=320, elem_id="spert-left"):
                text = gr.Textbox(
                    value=examples[0] if examples else "",
                    label=f"Text, up to {reader.max_characters:,} characters",
                    lines=5,
                    max_lines=16,
                    elem_id="spert-input",
                    placeholder="Ada Park joined Northwind Labs. She lives in Oslo.",
                )
                with gr.Row():
                    run = gr.Button("Extract", variant="primary", elem_id="spert-run", min_width=90)
                    upload = gr.UploadButton(
                        "Open file", file_types=[".txt", ".md", "text"], elem_id="spert-file", min_width=90
                    )
                    clear = gr.Button("Clear", elem_id="spert-clear", min_width=70)
                if examples:
                    chosen = gr.Dataset(
                        components=[gr.Textbox(visible=False)],
                        samples=[[example] for example in examples],
                        label="Examples",
                        elem_id="spert-examples",
                        type="index",
                        samples_per_page=6,
                    )
                with gr.Accordion("What counts as found", open=True, elem_id="spert-choices"):
                    choices = _build_choices(reader)
            with gr.Column(scale=7, min_width=320, elem_id="spert-right"):
                found = gr.HTML(elem_id="spert-found", min_height=120)
                with gr.Tabs():
                    with gr.Tab("Relations", id="relations"):
                        picture = gr.HTML(elem_id="spert-picture")
                        relations = gr.HTML(elem_id="spert-relations")
                    with gr.Tab("Entities", id="entities"):
                        entities = gr.HTML(elem_id="spert-entities")
                    with gr.Tab("Sentences", id="sentences"):
                        sentences = gr.HTML(elem_id="spert-sentences")
                    with gr.Tab("Download", id="download"):
                        files = gr.HTML(elem_id="spert-files")
        outputs = [found, picture, relations, entities, sentences, files]

        def shown(typed: str | None, *values: Any) -> list[str]:
            return show(reader, typed or "", _choices_of(reader, values))

        def opened(path: str, *values: Any) -> list[Any]:
            try:
                content = read_file(path, reader.max_characters)
            except UnreadableError as error:
                return [gr.skip(), message(error), *[""] * (_NUM_RESULTS - 1)]
            finally:
                Path(path).unlink(missing_ok=True)  # nothing of a visitor's stays here
            return [content, *shown(content, *values)]

        inputs = [text, *choices]
        events = [run.click, page.load, *(choice.change for choice in choices)]
        gr.on(
            events,
            shown,
            inputs,
            outputs,
            trigger_mode="always_last",
            show_progress="minimal",
            api_visibility="private",
        )
        upload.upload(opened, [upload, *choices], [text, *outputs], api_visibility="private")
        clear.click(lambda: ["", *[""] * _NUM_RESULTS], None, [text, *outputs], api_visibility="private")
        if examples:

            def example(index: int, *values: Any) -> list[str]:
                return [examples[index], *shown(examples[index], *values)]

            chosen.click(example, [chosen, *choices], [text, *outputs], api_visibility="private")
        own, first, second = choices[:3]
        own.change(
            lambda is_own: [gr.update(interactive=not is_own)] * 2, own, [first, second], api_visibility="private"
        )

        def api_extract(text: str) -> dict[str, Any]:
            """What the model finds in a text, as it stands, with the model's own settings."""
            try:
                return read(reader, text, _default_choices(reader)).result
            except UnreadableError as error:
                raise gr.Error(str(error)) from error

        gr.api(api_extract, api_name="extract")
    page.queue(max_size=32, default_concurrency_limit=1)
    return page


def show(reader: Reader, text: str, choices: Choices) -> list[str]:
    """The results of a text as HTML: text, picture, relations, entities, sentences, files; or a message and nothing."""
    try:
        reading = read(reader, text, choices)
    except UnreadableError as error:
        return [message(error), *[""] * (_NUM_RESULTS - 1)]
    types = reader.entity_types
    graph = graph_of(reading.result)
    picture = draw(graph, types, reader.symmetric_relations)
    files = [
        download("found.json", json.dumps(reading.result, ensure_ascii=False) + "\n", "application/json", "JSON"),
        download("graph.json", node_link_json(graph), "application/json", "Graph (node-link JSON)"),
    ]
    if svg := standalone(picture, STYLE):
        files.append(download("graph.svg", svg, "image/svg+xml", "Picture (SVG)"))
    return [
        summary(reading) + highlighted(reading, types),
        picture,
        relation_table(reading, types) if reading.result["relations"] else "",
        entity_table(reading, types),
        sentence_table(reading),
        "".join(files),
    ]


def _build_choices(reader: Reader) -> list[Any]:
    """The controls, in the order in which `_choices_of` reads them."""
    own = gr.Checkbox(
        reader.is_tuned_by_type,
        label="The model's own least scores, which differ by type",
        visible=reader.is_tuned_by_type,
        elem_id="spert-own",
    )
    sliders = [
        gr.Slider(
            0,
            1,
            value=min(thresholds.values(), default=0.0),
            step=0.01,
            label=label,
            interactive=not reader.is_tuned_by_type,
            elem_id=elem_id,
        )
        for thresholds, label, elem_id in (
            (reader.entity_thresholds, "Least score of an entity", "spert-entity-threshold"),
            (reader.relation_thresholds, "Least score of a relation", "spert-relation-threshold"),
        )
    ]
    types = [
        gr.CheckboxGroup(names, value=names, label=label, visible=bool(names), elem_id=elem_id)
        for names, label, elem_id in (
            (reader.entity_types, "Types of entities", "spert-entity-types"),
            (reader.relation_types, "Types of relations", "spert-relation-types"),
        )
    ]
    overlaps = gr.Radio(
        [(_OVERLAP_LABELS[name], name) for name in OVERLAPS],
        value=reader.overlapping_entities,
        label="Overlapping entities",
        elem_id="spert-overlaps",
    )
    sentences = gr.Radio(
        [(_SENTENCE_LABELS[name], name) for name in SENTENCES],
        value="found",
        label="Sentences",
        elem_id="spert-splitting",
    )
    together = gr.Slider(
        1,
        4,
        value=min(4, reader.processor.sentences_per_window),
        step=1,
        label="Sentences that are read together",
        info="With more than one, relations are found across sentences.",
        elem_id="spert-together",
    )
    return [own, *sliders, *types, overlaps, sentences, together]


def _choices_of(reader: Reader, values: Sequence[Any]) -> Choices:
    own, entity_threshold, relation_threshold, entity_types, relation_types, overlaps, sentences, together = values
    return Choices(
        entity_threshold=None if own else entity_threshold,
        relation_threshold=None if own else relation_threshold,
        entity_types=entity_types,
        relation_types=relation_types,
        overlapping_entities=overlaps,
        sentences=sentences,
        sentences_per_window=together,
    )


def _default_choices(reader: Reader) -> Choices:
    return Choices(
        None,
        None,
        reader.entity_types,
        reader.relation_types,
        reader.overlapping_entities,
        sentences_per_window=reader.processor.sentences_per_window,
    )

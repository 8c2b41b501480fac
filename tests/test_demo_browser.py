"""The page in a real Chromium: what is typed, pressed and seen. Skipped where there is no browser or no Gradio."""

import base64
import json
import re
import time
from urllib.parse import urlsplit

import networkx
import pytest

from examples.hand_made import hand_made
from spert.demo.reading import Reader
from spert.options_spert import DecodingOptions
from spert.prediction import predict

pytest.importorskip("gradio")
pytest.importorskip("selenium")

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import needs_browser, start_browser

pytestmark = [pytest.mark.slow, needs_browser]

EXAMPLE = "Ada Park joined Northwind Labs. She lives in Oslo."
OVERLAPPING = "Vera Lund, who is married to Nils Lund, joined the University of Tromso."
MAX_CHARACTERS = 2_000


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The page of the hand-made model, and what it is made of."""
    from spert.demo.serving import launch

    model, processor = hand_made()
    options = DecodingOptions.of(model.config)

    def extract(item, **choices):
        return predict(model, processor, [item], **choices)[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        patch.setenv("no_proxy", "127.0.0.1")
        reader = Reader.of("hand-made", extract, processor, options, MAX_CHARACTERS)
        page = launch(reader, [EXAMPLE, OVERLAPPING], host="127.0.0.1", is_blocking=False)
        yield page.local_url, extract
        page.close()


@pytest.fixture(scope="module")
def browser():
    driver = start_browser()
    yield driver
    driver.quit()


class Visit:
    """What a visitor does and sees."""

    def __init__(self, browser, url):
        self.browser = browser
        browser.get(url)

    def wait(self, condition, seconds=20):
        """Until the condition holds; what it gave."""
        end = time.monotonic() + seconds
        while True:
            try:
                if value := condition():
                    return value
            except Exception as error:  # an element that is being replaced
                if time.monotonic() > end:
                    raise AssertionError(self.found()) from error
            assert time.monotonic() < end, self.found()
            time.sleep(0.05)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text_of(self, selector):
        """All text of an element, also where another tab is open."""
        return self.one(selector).get_property("textContent")

    def found(self):
        return self.text_of("#spert-found")

    def type(self, text):
        field = self.one("#spert-input textarea")
        if len(text) < 200:
            field.send_keys(Keys.CONTROL + "a", Keys.DELETE)
            field.send_keys(text)
        else:  # as a paste
            script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))"
            self.browser.execute_script(script, field, text)

    def press(self, selector):
        self.one(selector).click()

    def open(self, tab):
        (button,) = [one for one in self.all("button[role=tab]") if one.get_property("textContent").strip() == tab]
        self.browser.execute_script("arguments[0].click()", button)

    def extract(self, text):
        self.type(text)
        self.press("#spert-run")

    def entities(self):
        """The letters that are marked for each entity, and its type and score."""
        letters = {}
        for mark in self.all("#spert-found mark"):
            for number in mark.get_attribute("data-entities").split():
                letters[number] = letters.get(number, "") + mark.get_property("textContent")
        return [
            (letters[chip.get_attribute("data-entity")], *chip.get_property("textContent").split())
            for chip in self.all("#spert-found .spert-chip")
        ]

    def files(self):
        links = self.all("#spert-files a")
        decoded = {}
        for link in links:
            kind, data = link.get_attribute("href").split(",", 1)
            assert kind.endswith(";base64")
            decoded[link.get_attribute("download")] = base64.b64decode(data).decode()
        return decoded


@pytest.fixture
def visit(served, browser):
    visit = Visit(browser, served[0])
    visit.wait(lambda: len(visit.entities()) == 3)  # the first example, read when the page opens
    return visit


def test_a_text_is_typed_and_a_slider_changes_what_is_found(visit, served):
    visit.extract(OVERLAPPING)
    visit.wait(lambda: len(visit.entities()) == 4)
    assert visit.entities() == [
        ("Vera Lund", "Person", "0.95"),
        ("Nils Lund", "Person", "0.95"),
        ("Tromso", "Place", "0.95"),
        ("University of Tromso", "Organization", "0.95"),
    ]
    assert "4 entities, 3 relations, 1 sentence." in visit.found()
    assert "married_to" in visit.text_of("#spert-relations")
    assert len(visit.all("#spert-picture .spert-node")) == 3
    assert len(visit.all("#spert-picture .spert-edge")) == 3

    visit.open("Download")
    files = visit.wait(visit.files)
    assert files.keys() == {"found.json", "graph.json", "graph.svg"}
    assert json.loads(files["found.json"]) == json.loads(json.dumps(served[1](OVERLAPPING)))
    graph = networkx.node_link_graph(json.loads(files["graph.json"]), edges="edges")
    relations = {(graph.nodes[head]["label"], kind, graph.nodes[tail]["label"]) for head, tail, kind in graph.edges}
    assert ("Vera Lund", "works_for", "University of Tromso") in relations
    assert len(graph.nodes) == 4

    visit.open("Relations")
    slider = visit.one("#spert-relation-threshold input[type=range]")
    slider.send_keys(Keys.END)  # to 1.00
    visit.wait(lambda: "4 entities, 0 relations" in visit.found())
    assert visit.text_of("#spert-picture").strip() == "No relations."
    number = visit.one("#spert-entity-threshold input[type=number]")
    number.send_keys(Keys.CONTROL + "a")
    number.send_keys("0.96", Keys.TAB)
    visit.wait(lambda: "0 entities, 0 relations, 1 sentence. Lower the least scores" in visit.found())
    assert not visit.all("#spert-found mark")


def test_types_overlaps_and_sentences_are_chosen(visit):
    visit.press("#spert-examples button:nth-of-type(2)")
    visit.wait(lambda: len(visit.entities()) == 4)
    assert visit.one("#spert-input textarea").get_property("value") == OVERLAPPING
    visit.press("#spert-overlaps label:nth-of-type(3)")  # none
    visit.wait(lambda: len(visit.entities()) == 3)
    visit.press("#spert-entity-types label:nth-of-type(1)")  # no Person
    visit.wait(lambda: [entity[:2] for entity in visit.entities()] == [("University of Tromso", "Organization")])
    assert visit.text_of("#spert-picture").strip() == "No relations."
    visit.extract("Vera Lund\n\nlived in Oslo. Quito.")
    visit.wait(lambda: "Quito" in visit.found())
    visit.press("#spert-splitting label:nth-of-type(3)")
    visit.wait(lambda: "1 sentence." in visit.found())
    visit.press("#spert-splitting label:nth-of-type(2)")
    visit.wait(lambda: "2 sentences." in visit.found())
    visit.open("Sentences")
    visit.wait(lambda: len(visit.all("#spert-sentences tbody tr")) == 2)
    long = "Vera Lund joined Polar Kayaks " + "and then , much later , " * 15 + "Nils Lund joined Northwind Labs ."
    visit.extract(long)
    visit.wait(lambda: "1 sentence, read in 2 windows." in visit.found())
    assert "window 2" in visit.text_of("#spert-found .spert-window")
    assert re.search(r"1 \(words 1–\d+\), 2 \(words \d+–10[0-9]\)", visit.text_of("#spert-sentences"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "No text yet"),
        (" \n ", "No text yet"),
        ("a" * 2_001, "This text is too longIt has 2,001 characters, and this page reads at most 2,000."),
        ("Ada Park of " + "-" * 100, "One word is too long for this model'----"),
    ],
    ids=["empty", "blank", "too long", "a long word"],
)
def test_what_cannot_be_read_is_said(visit, text, message):
    visit.extract(text)
    visit.wait(lambda: message in visit.found())
    for name in ("picture", "relations"):
        assert visit.text_of(f"#spert-{name}").strip() == "", "nothing of the text before is left"
    for tab, name in (("Entities", "entities"), ("Sentences", "sentences"), ("Download", "files")):
        visit.open(tab)
        visit.wait(lambda name=name: visit.all(f"#spert-{name}"))
        assert visit.text_of(f"#spert-{name}").strip() == ""
    visit.extract("Vera Lund of Quito")
    visit.wait(lambda: len(visit.entities()) == 2)


def test_a_script_stays_text(visit):
    hostile = (
        "<script>window.broken = 1</script><img src=x onerror='window.broken = 2'> ${window.broken = 3} "
        '{{constructor}} @children `${1}` &lt;b&gt; </textarea></div> "Ada Park" joined <b>Northwind Labs</b>'
    )
    visit.extract(hostile)
    visit.wait(lambda: len(visit.entities()) == 2)
    shown = visit.browser.execute_script(
        "const text = document.querySelector('.spert-text').cloneNode(true);"
        "text.querySelectorAll('.spert-chip, .spert-note').forEach(one => one.remove()); return text.textContent"
    )
    assert shown == hostile
    assert [entity[0] for entity in visit.entities()] == ["Ada Park", "Northwind Labs"]
    assert visit.browser.execute_script("return window.broken === undefined")
    assert not visit.all("#spert-found script, #spert-found img, #spert-found b")


def test_a_file_is_opened(visit, tmp_path):
    good, bad = tmp_path / "Å text.txt", tmp_path / "latin.txt"
    good.write_text("Nils Lund lives in Quito.", encoding="utf-8-sig")
    bad.write_bytes("Zürich".encode("latin-1"))
    field = visit.one("input[type=file]")
    field.send_keys(str(good))
    visit.wait(lambda: [entity[0] for entity in visit.entities()] == ["Nils Lund", "Quito"])
    assert visit.one("#spert-input textarea").get_property("value") == "Nils Lund lives in Quito."
    visit.one("input[type=file]").send_keys(str(bad))
    visit.wait(lambda: "This file is no plain text in UTF-8Byte 1 of latin.txt cannot be read." in visit.found())
    visit.press("#spert-clear")
    visit.wait(lambda: visit.found().strip() == "")
    assert visit.one("#spert-input textarea").get_property("value") == ""


def test_a_narrow_window_and_no_call_to_anybody(visit, served):
    visit.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        visit.extract(OVERLAPPING)
        visit.wait(lambda: len(visit.entities()) == 4)
        assert visit.browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        above, below = visit.one("#spert-found").location["y"], visit.one("#spert-choices").location["y"]
        assert visit.one("#spert-run").location["y"] < above < below
    finally:
        visit.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    messages = [json.loads(line["message"])["message"] for line in visit.browser.get_log("performance")]
    asked = [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    here = urlsplit(served[0]).netloc
    assert {urlsplit(url).netloc for url in asked if urlsplit(url).scheme not in ("data", "blob", "chrome")} == {here}
    errors = [line["message"] for line in visit.browser.get_log("browser") if line["level"] == "SEVERE"]
    aborted = ("AbortError", "Connection errored out")  # of a page that was left while it waited for an answer
    assert not [error for error in errors if not any(name in error for name in aborted)]

"""The report in a real Chromium: filters, links, labels, many sentences, narrow windows, hostile text, no network."""

import json
import time

import pytest

from spert.inspection.inspected import Inspected, system_of
from spert.inspection.page import write_page
from spert.inspection.readings import reading_of
from spert.inspection.report import count_shared, report_of
from tests import tiny
from tests.browser import needs_browser, start_browser
from tests.test_inspection import HOSTILE, hostile

pytestmark = [pytest.mark.slow, needs_browser]

MANY = 10_000


def spoilt(record, number):
    """Predictions with a wrong type, and with scores that tell the sentences apart."""
    entities = [dict(entity, score=0.5 + number % 50 / 100) for entity in record["entities"]]
    if entities:
        entities[0]["type"] = "Place" if entities[0]["type"] != "Place" else "Person"
    return {"entities": entities, "relations": [relation | {"score": 0.7} for relation in record["relations"][:1]]}


def report_on(records, path, number_of_systems=1):
    readings = [
        [reading_of(spoilt(record, number), tiny.SYMMETRIC) for number, record in enumerate(records)],
        [reading_of(record, tiny.SYMMETRIC) for record in records[:-1]] + [reading_of(spoilt(records[-1], 0))],
    ]
    systems = [
        system_of(name, records, found, tiny.SYMMETRIC)
        for name, found in zip(("one", "other")[:number_of_systems], readings)
    ]
    inspected = Inspected.of("A report", {"read by": "one"}, records, systems, tiny.SYMMETRIC, records)
    report = report_of(inspected)
    if number_of_systems > 1:
        from spert.evaluation.comparison import compare
        from spert.inspection.inspected import record_of

        found = [[[record_of(reading) for reading in system.readings]] for system in systems]
        numbers = compare(records, *found, symmetric_relations=tiny.SYMMETRIC, resamples=10)
        report |= {"comparison": numbers, "shared": count_shared(inspected)}
    write_page(path, inspected, report)
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    inspected = hostile()
    write_page(folder / "hostile.html", inspected, report_of(inspected))
    records = [record | {"id": f"{record['id']}-{number}"} for number in range(MANY // 4) for record in tiny.RECORDS]
    report_on(records, folder / "many.html")
    report_on(records[:8], folder / "pair.html", number_of_systems=2)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("downloads")
    driver = start_browser(**{"download.default_directory": str(folder)})
    driver.downloads = folder
    yield driver
    driver.quit()


class Visit:
    """What a reader does and sees."""

    def __init__(self, browser, page):
        self.browser = browser
        browser.get("about:blank")
        browser.get(page)
        self.wait("return document.documentElement.dataset.ready === 'yes'")

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def wait(self, script, *arguments, seconds=30):
        end = time.monotonic() + seconds
        while not (value := self.run(script, *arguments)):
            assert time.monotonic() < end, (script, self.text("#count"))
            time.sleep(0.05)
        return value

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def number(self, selector):
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    def choose(self, field, value):
        """Fill in a field, as a reader does, and wait until the list says something else."""
        script = (
            "const field = document.getElementById(arguments[0]); field.value = arguments[1];"
            "field.dispatchEvent(new Event('input', {bubbles: true}))"
        )
        before = self.text("#count")
        self.run(script, field, value)
        self.wait("return document.getElementById('count').textContent !== arguments[0]", before)
        return self.text("#count")

    def faults(self):
        return [line["message"] for line in self.browser.get_log("browser") if line["level"] == "SEVERE"]


def test_many_sentences_are_filtered_searched_and_linked(pages, browser):
    visit = Visit(browser, (pages / "many.html").as_uri())
    assert visit.text("#count") == "7,500 of 10,000 sentences, 17,500 mistakes"
    assert 30 <= visit.number("article") <= 120, "only what is near stands in the page"
    assert visit.choose("class", "entities/wrong_type") == "7,500 of 10,000 sentences, 7,500 mistakes"
    assert visit.choose("search", "a-1234") == "1 of 10,000 sentences, 1 mistake"
    assert visit.text("article header") == "#4936a-1234"
    assert visit.text("article .cls") == "wrong type"
    assert "[Ada Park] Person" in visit.text("article .mistakes")
    assert visit.number("article .faint") == 2, "mistakes that are not asked for are pale"
    visit.run("document.getElementById('clear').click()")
    assert visit.choose("least", "0.98") == "300 of 10,000 sentences, 300 mistakes"
    assert visit.choose("show", "right").startswith("0 of")
    visit.run("document.getElementById('clear').click()")
    assert visit.choose("show", "right") == "2,500 of 10,000 sentences, 0 mistakes"
    assert visit.text("article .text") == "Nobody came ."
    visit.run("document.querySelector('button[data-class=\"relations/lost_entity_type\"]').click()")
    assert visit.text("#count").startswith("5,000 of")
    assert visit.choose("type", "relations/2") == "2,500 of 10,000 sentences, 2,500 mistakes"  # works_for
    assert set(
        visit.run("return [...document.querySelectorAll('li:not(.faint) .cls')].map(one => one.textContent)")
    ) == {"lost: entity type"}

    linked = Visit(browser, (pages / "many.html").as_uri() + "#s-9001")
    box = linked.run(
        "const box = document.getElementById('s-9001').getBoundingClientRect(); return [box.top, box.bottom]"
    )
    assert -5 < box[0] < box[1] < 1000, "the sentence of the link is in sight, although it has no mistake"
    assert linked.number("article") < 200
    linked.run("document.getElementById('earlier').click()")
    assert linked.number("#s-8990") == 1
    assert not linked.faults()


def test_text_of_others_stays_text(pages, browser):
    visit = Visit(browser, (pages / "hostile.html").as_uri())
    shown = visit.run(
        "const text = document.querySelector('article .text').cloneNode(true);"
        "text.querySelectorAll('.br, .ty').forEach(one => one.remove()); return text.textContent"
    )
    assert shown == " ".join(HOSTILE)
    assert visit.text("h1") == "<h1>&</h1>"
    assert visit.run("return window.broken === undefined")
    assert visit.number("script") == 3
    assert not visit.number("main img:not([src^='data:image/svg']), main b script, h1 h1, article img")
    visit.run(
        "const script = document.createElement('script'); script.textContent = 'window.broken = 4';"
        "document.body.append(script)"
    )
    assert visit.run("return window.broken === undefined"), "the policy forbids every other script"
    browser.get_log("browser")  # holds that the policy was broken


def test_labels_are_set_kept_saved_and_opened(pages, browser, tmp_path):
    page = (pages / "many.html").as_uri()
    visit = Visit(browser, page)
    visit.run(
        "const select = document.querySelector('article li select'); select.value = 'missing_annotation';"
        "select.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    assert visit.text("#labelled") == "1 mistake labelled"
    visit = Visit(browser, page)
    assert visit.text("#labelled-missing_annotation") == "1", "kept by the browser"
    assert visit.choose("label", "set/missing_annotation") == "1 of 10,000 sentences, 1 mistake"
    assert visit.choose("label", "proposed/classification").startswith("7,500 of")
    visit.run("document.getElementById('save').click()")
    saved = browser.downloads / "labels.json"
    end = time.monotonic() + 20
    while not saved.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    content = json.loads(saved.read_text())
    assert content["labels"] == [
        {
            "mistake": "0 | a-0 | 0 | entities | Person 0-2 | Place 0-2",
            "sentence": 0,
            "id": "a-0",
            "system": "one",
            "task": "entities",
            "class": "wrong_type",
            "gold": "[Ada Park] Person",
            "found": "[Ada Park] Place",
            "label": "missing_annotation",
        }
    ]
    from spert.inspection.files import read_labels

    assert read_labels(saved) == {content["labels"][0]["mistake"]: "missing_annotation"}

    visit.run("localStorage.clear()")
    visit = Visit(browser, page)
    assert visit.text("#labelled") == "0 mistakes labelled"
    content["labels"].append(content["labels"][0] | {"mistake": "gone"})
    saved.write_text(json.dumps(content))
    browser.find_element("id", "open").send_keys(str(saved))
    visit.wait("return document.getElementById('opened').textContent")
    assert visit.text("#opened") == "1 of 2 labels are of mistakes on this page."
    assert visit.text("#labelled") == "1 mistake labelled"
    saved.write_text("[]")
    browser.find_element("id", "open").send_keys(str(saved))
    visit.wait("return document.getElementById('opened').textContent.startsWith('This file cannot be read')")
    visit.run("localStorage.clear()")


def test_two_systems_and_a_narrow_window_and_no_call_to_anybody(pages, browser):
    browser.get_log("performance")
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        visit = Visit(browser, (pages / "pair.html").as_uri())
        assert visit.run("return document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
        assert visit.number("article:first-child .reading") == 3
        whole = visit.text("#count")
        assert visit.choose("system", "1") != whole
        assert visit.text("#count").startswith("0 of 8")
        assert visit.choose("system", "both") == "1 of 8 sentences, 1 mistake"
        assert visit.text("article .sys") == "both"
        assert visit.choose("system", "0").startswith("5 of 8")
        assert not visit.faults()
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    messages = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    assert asked
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "about"}

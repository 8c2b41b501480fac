"use strict";
/* The list of sentences: filtered, searched and labelled. Text of the corpus only ever becomes text nodes.

   A sentence: id; t tokens; e entities [start, end, type]; r relations [type, head, tail], which index e; g what is
   annotated, [entities, relations]; s of each system what it found, [[index, score]] of each; m mistakes [system,
   class, gold or -1, found or -1, score or null, proposed label or -1, shared]; u mistakes that are not listed. A
   mistake is shared 1 if the other system misses or makes up the same in another way, and 2 if it makes an equal one,
   which stands here once. */
const data = JSON.parse(document.getElementById("data").textContent);
const meta = JSON.parse(document.getElementById("meta").textContent);
const AT_ONCE = 30;
const $ = (id) => document.getElementById(id);
const sentences = data.sentences;
const texts = sentences.map((one) => (one.id + " " + one.t.join(" ")).toLowerCase());
const isPair = data.systems.length > 1;

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "class") element.className = value;
    else element.setAttribute(name, value);
  }
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

/* What the index of a thing in a mistake means depends on the task of its class. */
const taskOf = (mistake) => data.classes[mistake[1]][0];
const typeOf = (sentence, task, index) =>
  task === "entities" ? data.entityTypes[sentence.e[index][2]] : data.relationTypes[sentence.r[index][0]];
const words = (sentence, entity) => sentence.t.slice(sentence.e[entity][0], sentence.e[entity][1]).join(" ");
const entityText = (sentence, index) => `[${words(sentence, index)}] ${typeOf(sentence, "entities", index)}`;
function relationText(sentence, index) {
  const [, head, tail] = sentence.r[index];
  return `${words(sentence, head)} — ${typeOf(sentence, "relations", index)} → ${words(sentence, tail)}`;
}
const thingText = (sentence, task, index) =>
  task === "entities" ? entityText(sentence, index) : relationText(sentence, index);

/* ---- labels ---- */
const store = "spert inspection " + meta.digest;
let labels = Object.assign({}, meta.labels);
try { Object.assign(labels, JSON.parse(localStorage.getItem(store) || "{}")); } catch (error) { /* no storage here */ }
function place(sentence, task, index) {
  if (index < 0) return "nothing";
  if (task === "relations") {
    const [, head, tail] = sentence.r[index];
    return `${typeOf(sentence, task, index)} (${place(sentence, "entities", head)}, ${place(sentence, "entities", tail)})`;
  }
  const [start, end] = sentence.e[index];
  return `${typeOf(sentence, task, index)} ${start}-${end}`;
}
function keyOf(number, mistake) {
  const sentence = sentences[number], task = taskOf(mistake);
  return [number, sentence.id, mistake[0], task, place(sentence, task, mistake[2]), place(sentence, task, mistake[3])].join(" | ");
}
function countLabels() {
  const counts = {};
  let total = 0;
  for (const label of Object.values(labels)) if (label) { counts[label] = (counts[label] || 0) + 1; total += 1; }
  for (const [name] of data.labels) $("labelled-" + name).textContent = counts[name] || 0;
  $("labelled").textContent = total === 1 ? "1 mistake labelled" : `${total} mistakes labelled`;
}
function setLabel(key, label) {
  labels[key] = label;
  try { localStorage.setItem(store, JSON.stringify(labels)); } catch (error) { /* kept in this page only */ }
  countLabels();
}
function saveLabels() {
  const rows = [];
  sentences.forEach((sentence, number) => sentence.m.forEach((mistake) => {
    const key = keyOf(number, mistake), task = taskOf(mistake);
    if (!labels[key]) return;
    rows.push({ mistake: key, sentence: number, id: sentence.id, system: data.systems[mistake[0]], task: task, class: data.classes[mistake[1]][1],
      gold: mistake[2] < 0 ? null : thingText(sentence, task, mistake[2]),
      found: mistake[3] < 0 ? null : thingText(sentence, task, mistake[3]), label: labels[key] });
  }));
  const content = { format: meta.labelsFormat, title: document.title, digest: meta.digest, labels: rows };
  const url = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2) + "\n"], { type: "application/json" }));
  const link = make("a", { href: url, download: "labels.json" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
async function openLabels(file) {
  try {
    const content = JSON.parse(await file.text());
    if (content.format !== meta.labelsFormat) throw new Error("it is no file that this page saved");
    const known = new Set();
    sentences.forEach((sentence, number) => sentence.m.forEach((mistake) => known.add(keyOf(number, mistake))));
    const names = new Set(data.labels.map(([name]) => name));
    let taken = 0;
    for (const row of content.labels) if (known.has(row.mistake) && names.has(row.label)) { labels[row.mistake] = row.label; taken += 1; }
    try { localStorage.setItem(store, JSON.stringify(labels)); } catch (error) { /* kept in this page only */ }
    $("opened").textContent = `${taken} of ${content.labels.length} labels are of mistakes on this page.`;
  } catch (error) {
    $("opened").textContent = `This file cannot be read: ${error.message}.`;
  }
  countLabels();
  update();
}

/* ---- filters ---- */
const score = (id) => ($(id).value === "" ? null : Number($(id).value));
function choices() {
  const [task, name] = $("class").value.split("/");
  return { show: $("show").value, task: task || "", name: name || "", type: $("type").value, label: $("label").value,
    system: $("system") ? $("system").value : "", least: score("least"), most: score("most"),
    text: $("search").value.trim().toLowerCase(), order: $("order").value };
}
function matches(number, mistake, want) {
  const [task, name] = data.classes[mistake[1]];
  if (want.task && task !== want.task) return false;
  if (want.name && name !== want.name) return false;
  if (want.type) {
    const [typeTask, typeIndex] = want.type.split("/");
    const types = typeTask === "entities" ? data.entityTypes : data.relationTypes;
    const wanted = types[Number(typeIndex)];
    const has = (index) => index >= 0 && typeOf(sentences[number], task, index) === wanted;
    if (task !== typeTask || !(has(mistake[2]) || has(mistake[3]))) return false;
  }
  if (want.least !== null && !(mistake[4] !== null && mistake[4] >= want.least)) return false;
  if (want.most !== null && !(mistake[4] !== null && mistake[4] <= want.most)) return false;
  if (want.system === "both" ? !mistake[6] : want.system !== "" && (mistake[6] || mistake[0] !== Number(want.system))) return false;
  if (want.label) {
    const own = labels[keyOf(number, mistake)] || "";
    const [kind, label] = want.label.split("/");
    if (kind === "none" && own) return false;
    if (kind === "set" && own !== label) return false;
    if (kind === "proposed" && (mistake[5] < 0 || data.labels[mistake[5]][0] !== label)) return false;
  }
  return true;
}
let found = [];
function filter() {
  const want = choices();
  const isFiltered = want.task || want.type || want.label || want.system || want.least !== null || want.most !== null;
  found = [];
  let total = 0;
  sentences.forEach((sentence, number) => {
    if (want.text && !texts[number].includes(want.text)) return;
    if (want.show === "right" && (sentence.m.length || isFiltered)) return;
    const own = [];
    sentence.m.forEach((mistake, index) => { if (matches(number, mistake, want)) own.push(index); });
    if (!own.length && (want.show === "mistakes" || isFiltered)) return;
    total += own.length;
    const scores = own.map((index) => sentence.m[index]).filter((one) => one[3] >= 0 && one[4] !== null).map((one) => one[4]);
    found.push({ number, own: new Set(own), best: scores.length ? Math.max(...scores) : -1 });
  });
  if (want.order === "certain") found.sort((a, b) => b.best - a.best || a.number - b.number);
  if (want.order === "most") found.sort((a, b) => b.own.size - a.own.size || a.number - b.number);
  $("count").textContent = `${found.length.toLocaleString("en")} of ${sentences.length.toLocaleString("en")} sentences, ` +
    `${total.toLocaleString("en")} ${total === 1 ? "mistake" : "mistakes"}`;
}

/* ---- a sentence ---- */
function readingOf(sentence, who, entities, relations, isRight) {
  const text = make("div", { class: "text" });
  const inOrder = entities.map(([index, score]) => ({ index, score, start: sentence.e[index][0], end: sentence.e[index][1], type: sentence.e[index][2] }));
  const crosses = inOrder.some((a) => inOrder.some((b) => a.start < b.start && b.start < a.end && a.end < b.end));
  const label = new Map(inOrder.map((one, place) => [one, crosses ? String(place + 1) : ""]));
  const bracket = (one, sign) => make("span", { class: "br" + (isRight(0, one.index) ? "" : " off") }, sign, label.get(one) ? make("sup", {}, label.get(one)) : null);
  const close = (place) => {
    inOrder.filter((one) => one.end === place).sort((a, b) => b.start - a.start || b.index - a.index).forEach((one) => {
      text.append(bracket(one, "]"), make("span", { class: `ty t${one.type % 10}` + (isRight(0, one.index) ? "" : " off") },
        data.entityTypes[one.type] + (one.score === null || one.score === undefined ? "" : " " + one.score.toFixed(2))));
    });
  };
  sentence.t.forEach((token, place) => {
    close(place);
    if (place) text.append(" ");
    inOrder.filter((one) => one.start === place).sort((a, b) => b.end - a.end || a.index - b.index).forEach((one) => text.append(bracket(one, "[")));
    const inside = inOrder.filter((one) => one.start <= place && place < one.end).sort((a, b) => a.end - a.start - (b.end - b.start))[0];
    text.append(inside ? make("span", { class: `w t${inside.type % 10}` }, token) : token);
  });
  close(sentence.t.length);
  const list = make("div", { class: "relations" });
  for (const [index, score] of relations) {
    list.append(make("span", { class: "re " + (isRight(1, index) ? "ok" : "off") },
      relationText(sentence, index) + (score === null || score === undefined ? "" : " " + score.toFixed(2))));
  }
  return make("div", { class: "reading" }, make("div", { class: "who" }, who), make("div", {}, text, list));
}
function mistakeRow(number, mistake, isWanted) {
  const sentence = sentences[number], [task, , title] = data.classes[mistake[1]], key = keyOf(number, mistake);
  const say = (index) => (index < 0 ? null : thingText(sentence, task, index));
  const [gold, other] = [say(mistake[2]), say(mistake[3])];
  const text = gold && other ? `${gold}  ⇒  ${other}` : gold || other;
  const select = make("select", { "aria-label": "label of this mistake" });
  const proposal = mistake[5] < 0 ? "" : ` (proposed: ${data.labels[mistake[5]][1]})`;
  select.append(make("option", { value: "" }, "label" + proposal));
  for (const [name, shown] of data.labels) select.append(make("option", { value: name }, shown));
  select.value = labels[key] || "";
  select.className = select.value ? "set" : "";
  select.addEventListener("change", () => { setLabel(key, select.value); select.className = select.value ? "set" : ""; });
  const whose = ["first", "second"][mistake[0]];
  const who = isPair ? make("span", { class: "sys" }, [`${whose} only`, `${whose}, the other in its way`, "both"][mistake[6]]) : null;
  return make("li", { class: isWanted ? "" : "faint" }, make("span", { class: "cls" }, title), who, make("span", {}, text),
    mistake[4] === null ? null : make("span", { class: "soft" }, (other ? "score " : "scored ") + mistake[4].toFixed(3)), select);
}
function article({ number, own }) {
  const sentence = sentences[number];
  const gold = sentence.g.map((indices) => new Set(indices));
  const scoredBy = sentence.s.map((system) => system.map((rows) => new Set(rows.map(([index]) => index))));
  const element = make("article", { id: `s-${number}` },
    make("header", {}, make("a", { href: `#s-${number}` }, `#${number}`), make("span", {}, sentence.id)));
  const isFoundByAll = (kind, index) => scoredBy.every((system) => system[kind].has(index));
  element.append(readingOf(sentence, "annotated", sentence.g[0].map((index) => [index, null]), sentence.g[1].map((index) => [index, null]), isFoundByAll));
  sentence.s.forEach(([entities, relations], place) => {
    element.append(readingOf(sentence, isPair ? ["first", "second"][place] : "found", entities, relations, (kind, index) => gold[kind].has(index)));
  });
  if (sentence.m.length) {
    const list = make("ul", { class: "mistakes" });
    sentence.m.forEach((mistake, index) => list.append(mistakeRow(number, mistake, own.has(index))));
    if (sentence.u) list.append(make("li", { class: "soft" }, `${sentence.u} more mistakes are counted, and not listed.`));
    element.append(list);
  }
  return element;
}

/* ---- the part of the list that stands in the page: found[first] to found[last - 1] ---- */
let first = 0, last = 0;
function more() {
  const part = document.createDocumentFragment();
  const end = Math.min(last + AT_ONCE, found.length);
  while (last < end) part.append(article(found[last++]));
  $("list").append(part);
  $("later").hidden = last >= found.length;
}
function earlier() {
  const start = Math.max(first - AT_ONCE, 0);
  const part = document.createDocumentFragment();
  for (let place = start; place < first; place += 1) part.append(article(found[place]));
  first = start;
  $("list").prepend(part);
  $("earlier").hidden = first === 0;
}
function begin(place) {
  first = last = place;
  $("list").replaceChildren();
  $("earlier").hidden = first === 0;
  more();
}
function update() { filter(); begin(0); }
function clear() { $("filters").reset(); }
function goTo(fragment) {
  const hit = /^#s-(\d+)$/.exec(fragment);
  if (!hit || !(Number(hit[1]) < sentences.length)) return;
  const number = Number(hit[1]);
  let index = found.findIndex((one) => one.number === number);
  if (index < 0) { clear(); $("show").value = "all"; filter(); index = found.findIndex((one) => one.number === number); }
  if (index < first || index >= last) begin(Math.max(index - 2, 0));
  document.querySelectorAll("article.aim").forEach((one) => one.classList.remove("aim"));
  const target = $(`s-${number}`);
  target.classList.add("aim");
  target.scrollIntoView({ block: "start" });
}

function fill(select, rows) { for (const [value, text] of rows) select.append(make("option", { value }, text)); }
for (const [task, title] of [["entities", "entities"], ["relations", "relations"]]) {
  const classes = make("optgroup", { label: title });
  fill(classes, [[task, `all ${title}`], ...data.classes.filter((one) => one[0] === task).map((one) => [`${task}/${one[1]}`, one[2]])]);
  $("class").append(classes);
  const types = make("optgroup", { label: title });
  fill(types, (task === "entities" ? data.entityTypes : data.relationTypes).map((name, index) => [`${task}/${index}`, name]));
  $("type").append(types);
}
fill($("label"), [["none", "no label yet"], ...data.labels.map(([name, title]) => [`set/${name}`, title]), ...data.labels.map(([name, title]) => [`proposed/${name}`, `proposed: ${title}`])]);

let waiting;
$("filters").addEventListener("input", (event) => { if (event.target.type === "file") return; clearTimeout(waiting); waiting = setTimeout(update, 120); });
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("clear").addEventListener("click", () => { clear(); update(); });
$("save").addEventListener("click", saveLabels);
$("open").addEventListener("change", (event) => { if (event.target.files.length) openLabels(event.target.files[0]); event.target.value = ""; });
$("earlier").addEventListener("click", earlier);
$("later").addEventListener("click", more);
new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting) && last < found.length) more(); }, { rootMargin: "1000px" }).observe($("end"));
document.querySelectorAll("button[data-class]").forEach((button) => button.addEventListener("click", () => {
  clear();
  $("class").value = button.dataset.class;
  update();
  $("sentences").scrollIntoView();
}));
addEventListener("hashchange", () => goTo(location.hash));
document.addEventListener("click", (event) => {  /* a second click on the same link */
  const link = event.target.closest("a[href^='#s-']");
  if (link && link.getAttribute("href") === location.hash) { event.preventDefault(); goTo(location.hash); }
});
countLabels();
update();
goTo(location.hash);
document.documentElement.dataset.ready = "yes";

// The page is drawn by the server. This script puts in what has changed, and sends what is pressed.
"use strict";

const byId = (id) => document.getElementById(id);
const part = (id) => document.querySelector(`[data-part="${id}"]`);
const fromHtml = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
};

let stream = null;
let paused = false;
let running = document.body.dataset.view === "watch";

// ---- what comes from the server

function listen() {
  stream?.close();
  stream = new EventSource("events");
  // One that comes back has lost nothing: the server draws it anew.
  stream.onopen = () => document.body.classList.contains("lost") && location.reload();
  stream.onerror = lost;
  stream.onmessage = (message) => take(JSON.parse(message.data));
}

function lost() {
  if (document.body.classList.contains("lost")) return;
  document.body.classList.add("lost");
  document.title = "Ended · Message Trace playground";
  for (const control of document.querySelectorAll("[data-do], [data-set], [data-switch]")) control.disabled = true;
  byId("lamp").innerHTML =
    '<span class="light" data-word="Ended"><svg class="g mut" aria-hidden="true"><use href="#lamp-off"/></svg></span>' +
    "<p><strong>The playground has ended.</strong> Start it again in the terminal, and open its new address.</p>";
  byId("lamp-said").textContent = "The playground has ended.";
  delete byId("lamp").dataset.v;
  delete byId("lamp-said").dataset.v;
}

function take(frame) {
  if (frame.say !== undefined) return notice(frame.say);
  const place = part(frame.i);
  if (!place) return;
  if (frame.add !== undefined) return prepend(place, frame.add);
  if (frame.first !== undefined) {
    place.firstElementChild?.replaceWith(fromHtml(frame.first));
    return;
  }
  if (frame.v !== 0 && place.dataset.v === String(frame.v)) return;
  if (frame.v === 0 && paused && frame.i === "row-list") return;
  replace(place, frame.h);
  place.dataset.v = frame.v;
  if (frame.i === "lamp") lampChanged();
}

// Puts new content in, and leaves focus, what is being typed, and what is open as they are.
function replace(place, html) {
  const active = document.activeElement;
  const held = active && place.contains(active) && active.id ? active : null;
  const typed = held?.matches("input:not([type=checkbox],[type=radio])") && held.dataset.dirty ? held.value : null;
  const open = [...place.querySelectorAll("details")].map((one) => one.open);
  const chosen = [...place.querySelectorAll("select:not([data-set])")].map((one) => [one.id, one.value]);
  place.replaceChildren(fromHtml(html));
  place.querySelectorAll("details").forEach((one, index) => (one.open ||= open[index] ?? false));
  for (const [id, value] of chosen) if (byId(id)) byId(id).value = value;
  const again = held && byId(held.id);
  if (!again) return;
  if (typed !== null) {
    again.value = typed;
    again.dataset.dirty = "1";
  }
  if (again !== document.activeElement) again.focus({ preventScroll: true });
}

function prepend(list, html) {
  if (paused && list.id === "row-list") return;
  const log = list.id === "lines" ? list.parentElement : null;
  const before = log && log.scrollTop > 0 ? log.scrollHeight : 0;
  list.prepend(fromHtml(html));
  if (before) log.scrollTop += log.scrollHeight - before;
  const most = Number(list.dataset.most);
  while (list.childElementCount > most) list.lastElementChild.remove();
}

function lampChanged() {
  const word = byId("lamp").querySelector("[data-word]")?.dataset;
  if (!word) return;
  document.title = `${word.word} · Message Trace playground`;
  document.body.dataset.first = word.first;
  const on = word.on === "true";
  // While it runs, the rows need the room; what is set up folds away.
  if (on && !running) show("watch");
  running = on;
}

function notice(text) {
  const place = byId("notice");
  place.textContent = text;
  place.hidden = false;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => (place.hidden = true), 8000);
}

// ---- what goes to the server

async function send(order) {
  byId("notice").hidden = true;
  try {
    const answer = await fetch("do", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(order),
    });
    if (!answer.ok) notice(await answer.text());
  } catch {
    lost();
  }
}

function show(view) {
  document.body.dataset.view = view;
  for (const button of document.querySelectorAll("[data-view-to]")) {
    button.setAttribute("aria-pressed", String(button.dataset.viewTo === view));
  }
}

// Goes to a part of the page, and unfolds what hides it.
function goTo(id) {
  const target = byId(id === "process" ? "acts" : id);
  if (!target) return;
  const setup = target.closest(".c1") !== null;
  const narrow = matchMedia("(max-width: 819px)").matches;
  if (setup) show("setup");
  else if (narrow && target.closest(".c2, .c3")) show("watch");
  for (let one = target.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
  target.scrollIntoView({ block: target.matches("input, select") ? "center" : "start" });
  if (target.matches("input, select")) target.focus({ preventScroll: true });
  const card = target.closest(".card, figure") ?? target;
  card.classList.remove("looked");
  requestAnimationFrame(() => card.classList.add("looked"));
}

async function openRow(row) {
  const button = row.querySelector("button");
  if (row.nextElementSibling?.matches(".detail")) {
    row.nextElementSibling.remove();
    row.classList.remove("open");
    button.setAttribute("aria-expanded", "false");
    return;
  }
  let text;
  try {
    const answer = await fetch(`row/${row.dataset.row}`);
    text = await answer.text();
    if (!answer.ok) return notice(text);
  } catch {
    return lost();
  }
  // Who presses twice gets it once.
  if (row.nextElementSibling?.matches(".detail")) return;
  const detail = document.createElement("div");
  detail.className = "tr detail";
  detail.setAttribute("role", "row");
  detail.append(fromHtml(text));
  row.after(detail);
  row.classList.add("open");
  button.setAttribute("aria-expanded", "true");
}

document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (link) {
    event.preventDefault();
    return goTo(link.getAttribute("href").slice(1));
  }
  const view = event.target.closest("[data-view-to]");
  if (view) return show(view.dataset.viewTo);
  const button = event.target.closest("button[data-do]");
  if (button) {
    const from = button.dataset.from ? byId(button.dataset.from).value : button.value;
    return send({ do: button.dataset.do, value: from });
  }
  const row = event.target.closest("[data-row]");
  if (row) openRow(row);
});

document.addEventListener("change", (event) => {
  const field = event.target;
  if (field.dataset.set !== undefined) {
    delete field.dataset.dirty;
    send({ do: "set", name: field.dataset.set, value: field.value });
  } else if (field.dataset.switch !== undefined) {
    send({ do: "switch", name: field.dataset.switch, on: field.checked });
  } else if (field.dataset.do !== undefined) {
    send({ do: field.dataset.do, value: field.value });
  } else if (field.name === "lv") {
    byId("lines").dataset.least = field.value;
  }
});

document.addEventListener("input", (event) => {
  if (event.target.dataset.set !== undefined) event.target.dataset.dirty = "1";
});

document.addEventListener("submit", (event) => event.preventDefault());

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  byId("pause").textContent = paused ? "Go on" : "Pause";
  // What came meanwhile is asked for anew.
  if (!paused) listen();
});

// What has not been sent yet is sent before a page goes.
addEventListener("pagehide", () => stream?.close());

show(document.body.dataset.view);
listen();

// Rule of this file: asks /agents and /audit, and shows the list, the events and the trail.
import { $, ago, clock, make, number, percent, setText } from "/dashboard/text.js";
import { Agent, STATES, lineOf, shortOf } from "/agent.js";

const EVERY_MS = 3000, SHOWN = 25, EVENTS_MAX = 60;
const rows = new Map();
let offset = 0, lastAt = 0, timer = 0, isAsking = false, isDue = false;

async function ask(path) {
  const answer = await fetch(path);
  const page = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(page.error.message), { status: answer.status });
  return page;
}

function banner(text, kind = "warn") {
  $("banner").hidden = !text;
  $("banner").dataset.kind = kind;
  setText($("banner"), text ?? "");
}

const agent = new Agent(ask, refresh);

// A row is made once for each agent on the page; only what changed is written.
function rowOf(found) {
  const link = make("a", { href: `#${found.id}` }, found.agent ?? found.label);
  link.title = `${found.id}, ${found.tenant}`;
  link.addEventListener("click", () => agent.goTo());
  const chip = make("span", { class: "chip" });
  const cells = Array.from({ length: 9 }, () => make("td"));
  cells[0].append(link);
  if (found.agent) cells[0].append(" ", make("code", {}, found.label));
  cells[1].append(chip);
  return { element: make("tr", {}, ...cells), cells, chip };
}

const beside = (now, limit, write) => (limit === null ? write(now) : `${write(now)} / ${write(limit)}`);

function fill(row, found) {
  const { profile, envelope } = found;
  const state = STATES[found.state];
  const isOut = found.state === "free" && found.deviating.length > 0;
  setText(row.chip, isOut ? "deviating" : state.word);
  row.chip.className = `chip ${isOut ? "warn" : state.kind}`;
  const texts = [
    [number(found.cost)], [beside(profile.rate_hz, envelope.rate, number), "rate"], [beside(profile.in_flight, envelope.in_flight, number), "in_flight"],
    [beside(profile.fan_out, envelope.fan_out, number), "fan_out"], [beside(profile.retry_share, envelope.retries, percent), "retries"], [profile.client], [ago(found.last_seen)],
  ];
  texts.forEach(([text, measure], idx) => {
    setText(row.cells[idx + 2], text);
    row.cells[idx + 2].className = found.deviating.includes(measure) ? "out" : "";
  });
  row.element.toggleAttribute("data-chosen", found.id === agent.id || found.label === agent.id);
}

function showList(page) {
  const body = document.querySelector("#agents tbody");
  const elements = page.agents.map((found) => {
    if (!rows.has(found.id)) rows.set(found.id, rowOf(found));
    fill(rows.get(found.id), found);
    return rows.get(found.id).element;
  });
  const kept = new Set(page.agents.map((found) => found.id));
  for (const id of rows.keys()) if (!kept.has(id)) { rows.get(id).element.remove(); rows.delete(id); }
  const isSame = elements.length === body.children.length && elements.every((element, idx) => body.children[idx] === element);
  // Moving a row would take the focus from its link, so the order rests while one has it.
  if (!isSame && !body.contains(document.activeElement)) body.replaceChildren(...elements);
  else if (!isSame) elements.filter((element) => !element.isConnected).forEach((element) => body.append(element));
  const isEmpty = page.agents.length === 0;
  $("earlier").disabled = offset === 0;
  $("later").disabled = page.agents.length < SHOWN;
  setText($("range"), isEmpty ? "None." : `${offset + 1} to ${offset + page.agents.length}${$("state").value === "any" && !$("find").value.trim() ? ` of ${page.known.toLocaleString("en")}` : ""}`);
}

function showEvents(events) {
  $("no-events").hidden = events.length > 0;
  if (showEvents.last === events[0]?.sequence) return;
  showEvents.last = events[0]?.sequence;
  $("events").replaceChildren(...events.slice(0, EVENTS_MAX).map((event) => lineOf(event, true)));
}

function when(text) {
  const at = new Date(text);
  const day = at.toDateString() === new Date().toDateString() ? "" : `${text.slice(0, 10)} `;
  return day + clock(at / 1000);
}

function showTrail(acts) {
  $("no-acts").hidden = acts.length > 0;
  const key = JSON.stringify(acts[0] ?? null);
  if (showTrail.last === key) return;
  showTrail.last = key;
  document.querySelector("#acts tbody").replaceChildren(...acts.map((act) => make("tr", {}, ...[
    make("time", { datetime: act.time, title: act.time }, when(act.time)), act.who, act.what,
    act.policy ? (act.policy === "mode" ? "every policy" : `policy ${act.policy}`) : make("span", { title: act.id }, act.agent ?? shortOf(act.id)), act.why || "–",
  ].map((content) => make("td", {}, content)))));
}

function count(state, n, kind) {
  const button = document.querySelector(`#summary [data-show=${state}]`);
  setText(button, `${number(n)} ${state === "restrained" ? "held or quarantined" : "deviating"}`);
  button.className = n ? `chip ${kind}` : "chip";
  button.setAttribute("aria-pressed", String($("state").value === state));
}

// Who waits for a person's decision, else who stands first.
function mostPressing(page) {
  const restrained = page.restrained && page.events.find((event) => ["held", "quarantined"].includes(event.kind));
  return restrained ? restrained.id : page.agents[0].id;
}

function show(page, audit) {
  lastAt = Date.now();
  document.body.dataset.state = "live";
  document.body.dataset.hasNumbers = "";
  setText($("connection-text"), "Connected");
  banner(page.mode === "observe" ? "Observing: everything is decided and shown, nobody is held or turned away." : "");
  setText($("known"), `${page.known.toLocaleString("en")} known`);
  count("deviating", page.deviating, "warn");
  count("restrained", page.restrained, "bad");
  $("empty").hidden = page.known > 0;
  if (!page.known) setText($("empty"), "Nobody has called yet. Each agent that does is listed here, with its rhythm and what it may do.");
  if (!agent.id && page.agents.length) agent.choose(mostPressing(page));
  showList(page);
  showEvents(page.events);
  showTrail(audit.acts);
}

function lose() {
  const wasLive = document.body.dataset.state === "live";
  document.body.dataset.state = "lost";
  setText($("connection-text"), "Not connected");
  const since = lastAt ? ` Numbers are of ${clock(lastAt / 1000)}.` : "";
  banner(`Governor does not answer.${since} Trying again every ${EVERY_MS / 1000} s.`, "bad");
  setText($("empty"), "Governor does not answer. Is it running, and is this its control port?");
  if (wasLive) setText($("announce"), "The connection to Governor is lost.");
}

async function refresh() {
  isDue = isAsking;
  if (isAsking) return; // once more when the answer is there
  isAsking = true;
  clearTimeout(timer);
  const query = new URLSearchParams({ sort: $("sort").value, state: $("state").value, find: $("find").value.trim(), limit: SHOWN, offset });
  try {
    const [page, audit] = await Promise.all([ask(`/agents?${query}`), ask("/audit?last=50"), agent.refresh()]);
    show(page, audit);
  } catch {
    lose();
  }
  isAsking = false;
  timer = setTimeout(() => { if (!document.hidden) refresh(); }, isDue ? 0 : EVERY_MS);
}

function turn(by) {
  offset = Math.max(0, offset + by);
  refresh();
}

$("controls").addEventListener("submit", (event) => event.preventDefault());
$("find").addEventListener("input", () => turn(-offset));
for (const id of ["sort", "state"]) $(id).addEventListener("change", () => turn(-offset));
for (const button of document.querySelectorAll("#summary button")) {
  button.addEventListener("click", () => {
    $("state").value = $("state").value === button.dataset.show ? "any" : button.dataset.show;
    turn(-offset);
  });
}
$("earlier").addEventListener("click", () => turn(-SHOWN));
$("later").addEventListener("click", () => turn(SHOWN));
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
window.addEventListener("hashchange", () => agent.choose());
agent.choose();
refresh();

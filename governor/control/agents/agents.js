"use strict";
// Reads /agents and /audit every two seconds. Everything is set as text, nothing as markup.

const $ = (id) => document.getElementById(id);
const number = (x, digits = 2) => (x === null ? "–" : x.toLocaleString("en", { maximumFractionDigits: digits }));
const limited = (x, limit, digits) => number(x, digits) + (limit === null ? "" : ` / ${number(limit, digits)}`);
const percent = (x) => `${Math.round(100 * x)} %`;

function cell(row, text, kind = "") {
  const made = row.insertCell();
  made.textContent = text;
  made.className = kind;
  return made;
}

function button(place, text, agent, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", () => perform(agent, act));
  place.append(made, " ");
}

function ago(at) {
  if (at === null) return "–";
  const s = Math.max(0, Date.now() / 1000 - at);
  if (s < 90) return `${Math.round(s)} s ago`;
  return s < 5400 ? `${Math.round(s / 60)} min ago` : `${Math.round(s / 3600)} h ago`;
}

function show(agent) {
  const row = document.createElement("tr");
  const { profile, envelope } = agent;
  const is_out = (name) => (agent.deviating.includes(name) ? "n bad" : "n");
  const name = cell(row, agent.agent ? `${agent.agent} ` : "");
  const id = document.createElement("code");
  id.textContent = agent.label;
  id.title = `${agent.id}, ${agent.tenant}`;
  name.append(id);
  cell(row, agent.state, agent.state);
  cell(row, number(agent.cost, 3), "n");
  cell(row, limited(profile.rate_hz, envelope.rate), is_out("rate"));
  cell(row, profile.rhythm);
  cell(row, limited(profile.in_flight, envelope.in_flight), is_out("in_flight"));
  cell(row, limited(profile.fan_out, envelope.fan_out), is_out("fan_out"));
  cell(row, percent(profile.retry_share) + (envelope.retries === null ? "" : ` / ${percent(envelope.retries)}`), is_out("retries"));
  cell(row, profile.patience_s === null ? "–" : `${number(profile.patience_s)} s`, "n");
  cell(row, profile.client);
  cell(row, ago(agent.last_seen));
  cell(row, agent.in_words.join(" "));
  const acts = cell(row, "", "acts");
  if (agent.state === "free") {
    button(acts, "Hold", agent, "hold");
    button(acts, "Quarantine", agent, "quarantine");
  } else {
    button(acts, "Release", agent, "release");
  }
  return row;
}

function list(place, lines) {
  place.replaceChildren(...lines.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
}

const clock = (s) => new Date(1000 * s).toLocaleTimeString("en-GB");

async function perform(agent, act) {
  $("message").textContent = "";
  const answer = await fetch(`/agents/${agent.id}/${act}`, {
    method: "POST",
    headers: { "Authorization": `Bearer ${$("token").value}`, "Content-Type": "application/json" },
    body: JSON.stringify({ why: $("why").value }),
  });
  if (!answer.ok) $("message").textContent = (await answer.json()).error.message;
  await refresh();
}

async function refresh() {
  try {
    const query = new URLSearchParams({ sort: $("sort").value, state: $("state").value });
    const [page, audit] = await Promise.all([`/agents?${query}`, "/audit?last=20"].map(async (path) => (await fetch(path)).json()));
    const mode = page.mode === "observe" ? "Observe mode: decided, not done. " : "";
    $("summary").textContent = `${mode}${page.known} known, ${page.deviating} outside of their envelope, ${page.restrained} held or quarantined.`;
    $("agents").replaceChildren(...page.agents.map(show));
    list($("events"), page.events.map((x) => `${clock(x.time_s)} ${x.agent ?? x.id}: ${x.in_words}`));
    list($("acts"), audit.acts.map((x) => `${x.time} ${x.who} ${x.what} ${x.agent ?? ""} ${x.id}${x.why ? `: ${x.why}` : ""}`));
  } catch (error) {
    $("summary").textContent = `Governor does not answer: ${error.message}`;
  }
}

$("controls").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["sort", "state"]) $(id).addEventListener("change", refresh);
refresh();
setInterval(refresh, 2000);

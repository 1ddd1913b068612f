// Rule of this file: who costs the most, and what was decided, in plain words; bounded lists.
import { $, clock, make, number, percent, setText } from "./text.js";

const TITLES = { flow: "Callers", tenant: "Tenants", tree: "Trees of calls" };
const SAID_MAX = 60;
const SHOWN = 6;
const tables = {};

function tableOf(title) {
  const body = make("tbody"), caption = make("caption", {}, title);
  const head = make("thead", {}, make("tr", {}, ...["Label", "In flight", "Held s", "Share"].map((text) => make("th", { scope: "col" }, text))));
  return { caption, body, rows: new Map(), element: make("table", {}, caption, head, body) };
}

// A flow has a page of its own; tenants and trees have none.
const labelOf = (label) => (/^flow-[0-9a-f]+$/.test(label) ? make("a", { href: `/agents.html#${label}` }, label) : label);

export function showWho(who) {
  if (!tables[who.table]) { // all at once: a table that is moved later would drop the focus in it
    for (const name of Object.keys(TITLES)) {
      tables[name] = tableOf(TITLES[name]);
      tables[name].element.hidden = true; // until it is known that somebody is in it
    }
    $("people").append(...Object.values(tables).map((table) => table.element));
  }
  const { caption, body, rows } = tables[who.table];
  tables[who.table].element.hidden = who.used === 0;
  $("nobody").hidden = Object.values(tables).some((table) => !table.element.hidden);
  setText(caption, `${TITLES[who.table]} (${number(who.used)})`);
  const top = who.top.slice(0, SHOWN);
  const kept = new Set(top.map(([label]) => label));
  for (const label of rows.keys()) if (!kept.has(label)) rows.delete(label);
  const elements = top.map(([label, ...numbers]) => {
    if (!rows.has(label)) rows.set(label, make("tr", {}, make("td", {}, labelOf(label)), ...numbers.map(() => make("td"))));
    const row = rows.get(label);
    numbers.forEach((value, idx) => setText(row.children[idx + 1], idx === 2 ? percent(value) : number(value)));
    return row;
  });
  // Rows rest while one of them has the focus: moving it would take that away.
  if (!body.contains(document.activeElement)) body.replaceChildren(...elements);
  const awaited = who.awaited;
  const list = (found) => Object.entries(found).slice(0, 3).map(([label, n]) => `${label} (${n})`).join(", ");
  $("awaited").replaceChildren(...(awaited ? [
    make("li", {}, `${awaited.failures} failed calls of ${awaited.callers} callers of ${awaited.upstream} have not come back yet: ${list(awaited.flows)}; ${list(awaited.tenants)}.`),
  ] : []));
}

export function showFanout(fanout) {
  return fanout.latest.filter((tree) => !tree.is_over).map((tree) =>
    `${tree.tree} fans out for ${Math.round(tree.age_s)} s: up to ${tree.peak_calls} calls open at once.`);
}

export function showDecisions(decisions, isAnew = false) {
  if (isAnew) {
    $("decisions").replaceChildren();
    $("no-decisions").hidden = false;
  }
  if (!decisions.said.length) return;
  $("no-decisions").hidden = true;
  const place = $("decisions");
  for (const [at, kind, , , text] of decisions.said.slice().reverse()) {
    place.prepend(make("li", {}, make("time", {}, clock(at)), make("span", { class: `kind-${kind}` }, text)));
  }
  while (place.children.length > SAID_MAX) place.lastChild.remove();
}

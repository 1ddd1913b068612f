// Rule of this file: who costs the most, and what was decided, in plain words; bounded lists.
import { $, clock, make, number, percent, setText } from "./text.js";

const TITLES = { flow: "Callers", tenant: "Tenants", tree: "Trees of calls" };
const SAID_MAX = 60;
const SHOWN = 6;
const tables = {};

export function showWho(who) {
  if (!tables[who.table]) {
    const body = make("tbody");
    const caption = make("caption");
    const head = make("thead", {}, make("tr", {}, ...["Label", "Open", "Held s", "Share"].map((text) => make("th", { scope: "col" }, text))));
    tables[who.table] = { caption, body, element: make("table", {}, caption, head, body) };
    $("people").replaceChildren(...Object.keys(TITLES).filter((name) => tables[name]).map((name) => tables[name].element));
  }
  const { caption, body } = tables[who.table];
  setText(caption, `${TITLES[who.table]} (${number(who.used)})`);
  body.replaceChildren(...who.top.slice(0, SHOWN).map(([label, open, held, share]) =>
    make("tr", {}, ...[label, number(open), number(held), percent(share)].map((text) => make("td", {}, text)))));
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
  if (isAnew) $("decisions").replaceChildren();
  if (!decisions.said.length) return;
  $("no-decisions").hidden = true;
  const place = $("decisions");
  for (const [at, kind, , , text] of decisions.said.slice().reverse()) {
    place.prepend(make("li", {}, make("time", {}, clock(at)), make("span", { class: `kind-${kind}` }, text)));
  }
  while (place.children.length > SAID_MAX) place.lastChild.remove();
}

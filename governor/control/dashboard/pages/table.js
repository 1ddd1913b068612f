// Rule of this file: the table of upstreams; rows are made once and only what changed is written.
import { $, make, number, percent, setText, verdict } from "./text.js";

export class Upstreams {
  constructor(names, onChoose) {
    this.names = names;
    this.body = document.querySelector("#upstreams tbody");
    this.rows = names.map((name, idx) => {
      const button = make("button", { type: "button" }, name);
      button.addEventListener("click", () => onChoose(idx));
      const cells = Array.from({ length: 8 }, () => make("td"));
      cells[0].append(button);
      const chip = make("span", { class: "chip" });
      cells[1].append(chip);
      return { element: make("tr", {}, ...cells), cells, chip, button, rank: 0 };
    });
    this.body.replaceChildren(...this.rows.map((row) => row.element));
    $("trouble-first").addEventListener("change", () => this.sort());
  }

  choose(idx) {
    this.rows.forEach((row, at) => {
      row.element.toggleAttribute("data-chosen", at === idx);
      row.button.setAttribute("aria-pressed", String(at === idx));
    });
  }

  set(frame, columns, signs) {
    const at = Object.fromEntries(columns.map((name, idx) => [name, idx]));
    let changed = false;
    frame.rows.forEach((values, idx) => {
      const row = this.rows[idx];
      const state = verdict(values[at.signs], signs, values[at.arrivals_hz]);
      changed ||= state.rank !== row.rank;
      row.rank = state.rank;
      setText(row.chip, state.word);
      const look = `chip ${state.kind}`;
      if (row.chip.className !== look) row.chip.className = look;
      const waiting = values[at.waiting_own] + values[at.waiting_long] + values[at.waiting_crowd];
      const texts = [number(values[at.arrivals_hz]), `${values[at.in_flight]} / ${values[at.limit]}`, number(waiting),
        percent(values[at.retry_share]), number(values[at.synchrony_nats]), percent(values[at.waste_recent])];
      texts.forEach((text, cell) => setText(row.cells[cell + 2], text));
    });
    if (changed) this.sort();
  }

  sort() { // moving an element drops its focus, so rows stay while one of them has it
    if (this.body.contains(document.activeElement)) return;
    const order = this.rows.slice();
    if ($("trouble-first").checked) order.sort((a, b) => b.rank - a.rank);
    if (order.some((row, idx) => this.body.children[idx] !== row.element)) this.body.append(...order.map((row) => row.element));
  }
}

const PREVENTED = [
  ["waited", "Waited for a place"],
  ["sent_away", "Sent away, told when to return"],
  ["left_waiting", "Left while waiting, no work lost"],
  ["slots_kept", "Returned in their own slot"],
  ["absorbed", "Refusals waited out"],
  ["coalesced", "Shared another's answer"],
  ["rerouted", "Moved to another endpoint"],
  ["observed", "Would have been acted on"],
];

export function showTotals(names, totals, fanout) {
  const by = Object.fromEntries(names.map((name, idx) => [name, totals[idx]]));
  const spent = by.useful_s + by.wasted_s;
  const cards = [
    ["Calls", number(by.arrived)],
    ["Upstream time wasted", spent > 0 ? percent(by.wasted_s / spent) : "–"],
    ...PREVENTED.filter(([name]) => by[name] > 0).map(([name, words]) => [words, number(by[name])]),
    ["Calls in the largest tree, now", number(fanout.live)],
  ];
  const place = $("prevented");
  while (place.children.length < cards.length) place.append(make("div", {}, make("dt"), make("dd")));
  while (place.children.length > cards.length) place.lastChild.remove();
  cards.forEach(([term, value], idx) => {
    setText(place.children[idx].children[0], term);
    setText(place.children[idx].children[1], value);
  });
}

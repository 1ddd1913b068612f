// Rule of this file: one agent: its profile beside its envelope, its events, and the acts of a person.
import { $, ago, clock, make, number, percent, seconds, setText } from "/dashboard/text.js";

export const STATES = {
  free: { word: "free", kind: "" },
  held: { word: "held", kind: "warn" },
  quarantined: { word: "quarantined", kind: "bad" },
};
const MEASURES = [ // name in the envelope, words, what the profile says now and at most
  ["in_flight", "In flight", (p) => p.in_flight, (p) => p.peak_in_flight, number],
  ["rate", "Calls a second", (p) => p.rate_hz, (p) => p.peak_rate_hz, number],
  ["fan_out", "Fan-out of its tree", (p) => p.fan_out, () => null, number],
  ["retries", "Retries among calls", (p) => p.retry_share, () => null, percent],
];
const ACTED = { release: "released", hold: "held", quarantine: "quarantined" };

// As it stands in lists: the last eight digits.
export const shortOf = (id) => `flow-${id.slice(-8)}`;

export const lineOf = (event, who) => make("li", {}, make("time", {}, clock(event.time_s)), make("span", { class: `kind-${event.kind}` },
  ...(who ? [make("a", { href: `#${event.id}` }, event.agent ?? shortOf(event.id)), ": "] : []), event.in_words));

export class Agent {
  constructor(ask, onActed) {
    this.ask = ask;
    this.onActed = onActed;
    this.id = "";
    this.found = null;
    $("act").addEventListener("submit", (event) => {
      event.preventDefault();
      this.perform(event.submitter?.value ?? (this.found?.state === "free" ? "" : "release"));
    });
    this.rows = MEASURES.map(([, words]) => {
      const bar = make("i", { class: "use" });
      const cells = [make("td"), make("td"), make("td"), make("td", { "aria-hidden": "true" }, bar)];
      return { element: make("tr", {}, make("th", { scope: "row" }, words), ...cells), cells, bar };
    });
    document.querySelector("#envelope tbody").replaceChildren(...this.rows.map((row) => row.element));
  }

  // What the address names; without a name, who is restrained or costs the most.
  async choose(otherwise = "") {
    const named = decodeURIComponent(location.hash.slice(1));
    const id = named.startsWith("flow-") ? named : this.id || otherwise;
    if (!id || id === this.id) return;
    this.id = id;
    this.found = null;
    setText($("message"), "");
    await this.refresh();
    for (const row of document.querySelectorAll("#agents tbody tr")) {
      row.toggleAttribute("data-chosen", row.querySelector("a").hash === `#${this.found?.id}`);
    }
  }

  goTo() { // by hand: also for who reads by ear, and where the profile lies below the list
    queueMicrotask(() => {
      $("one-title").focus({ preventScroll: true });
      $("one").scrollIntoView({ block: "nearest" });
    });
  }

  async refresh() {
    const { id } = this;
    if (!id) return;
    try {
      const found = await this.ask(`/agents/${encodeURIComponent(id)}`);
      if (id === this.id) this.show(found);
    } catch (error) {
      if (!error.status) throw error;
      this.found = null;
      setText($("one-title"), id);
      setText($("one-none"), error.status === 404 ? "No such agent is known. Ids are salted anew whenever Governor starts." : error.message);
      $("one-none").hidden = false;
      $("one-body").hidden = $("one-state").hidden = true;
    }
  }

  show(found) {
    this.found = found;
    const { profile, envelope } = found;
    $("one-none").hidden = true;
    $("one-body").hidden = $("one-state").hidden = false;
    setText($("one-title"), found.agent ? `${found.agent} · ${found.label}` : found.label);
    $("one-title").title = found.id;
    setText($("one-state"), STATES[found.state].word);
    $("one-state").className = `chip ${STATES[found.state].kind}`;
    const lines = [...found.in_words];
    if (found.turned_away) lines.push(`${number(found.turned_away)} of its calls ${found.turned_away === 1 ? "was" : "were"} turned away.`);
    if (found.waiting_for_release) lines.push(`${number(found.waiting_for_release)} of its calls ${found.waiting_for_release === 1 ? "waits" : "wait"}.`);
    if (lines.join() !== this.said) $("words").replaceChildren(...lines.map((line) => make("li", {}, line)));
    this.said = lines.join();
    setText($("source"), { none: "(none: it may do anything)", declared: "(declared)", default: "(the default for everybody)", learned: "(learned from its past)" }[envelope.source]);
    MEASURES.forEach(([name, , now, most, write], idx) => {
      const { cells, bar } = this.rows[idx];
      const limit = envelope[name], value = now(profile), peak = most(profile);
      setText(cells[0], write(value));
      setText(cells[1], peak === null ? "–" : write(peak));
      setText(cells[2], limit === null ? "anything" : write(limit));
      bar.parentElement.classList.toggle("none", limit === null);
      bar.style.inlineSize = limit === null ? "0" : `${Math.min(100, limit > 0 ? 100 * value / limit : value && 100)}%`;
      bar.classList.toggle("over", limit !== null && value > limit);
      cells[0].className = found.deviating.includes(name) ? "out" : "";
    });
    this.showFacts([
      ["Client", profile.client], ["Rhythm", profile.rhythm],
      ["Patience", profile.patience_s === null ? "not known" : seconds(profile.patience_s)],
      ["Calls", number(found.calls)], ["Upstream seconds a second", number(found.cost)],
      ["Tenant", found.tenant],
      ["Called lately", profile.upstreams.join(", ") || "–"],
      ["May call", envelope.upstreams?.join(", ") ?? "any upstream"],
      ["First seen", `${found.first_seen ? clock(found.first_seen) : "–"}`], ["Last seen", ago(found.last_seen)],
    ]);
    for (const button of $("act").querySelectorAll("button")) {
      button.hidden = (button.dataset.for === "free") !== (found.state === "free");
    }
    const key = found.events[0]?.sequence ?? -1;
    if (key !== this.told || this.toldOf !== found.id) {
      $("own-events").replaceChildren(...(found.events.length ? found.events.map((event) => lineOf(event, false)) : [make("li", { class: "quiet" }, "None.")]));
    }
    this.told = key;
    this.toldOf = found.id;
  }

  showFacts(facts) {
    const place = $("profile");
    while (place.children.length < facts.length) place.append(make("div", {}, make("dt"), make("dd")));
    facts.forEach(([term, value], idx) => {
      setText(place.children[idx].children[0], term);
      setText(place.children[idx].children[1], value);
    });
  }

  async perform(act) {
    if (!act || !this.found) return;
    if (!$("token").value) {
      setText($("message"), "Type the token first.");
      $("token").focus();
      return;
    }
    const name = this.found.agent ?? this.found.label;
    try {
      const answer = await fetch(`/agents/${this.found.id}/${act}`, {
        method: "POST",
        headers: { Authorization: `Bearer ${$("token").value}`, "Content-Type": "application/json" },
        body: JSON.stringify({ why: $("why").value }),
      });
      const page = await answer.json();
      if (!answer.ok) throw new Error(page.error.message);
      setText($("message"), "");
      $("why").value = "";
      setText($("announce"), `${name} is ${ACTED[act]}.`);
      $("one-title").focus({ preventScroll: true }); // the button that was pressed goes away
    } catch (error) {
      setText($("message"), `Not done: ${error.message}`);
    }
    await this.onActed();
  }
}

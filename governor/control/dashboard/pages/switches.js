// Rule of this file: a switch for each policy: what it does, where it stands, and where it has nothing to do.
import { $, make, setText } from "./text.js";

// Each policy: its name, what it does, and the setting without which it has nothing to do.
const POLICIES = {
  hold: ["Hold crowds", "Who comes in a crowd lets those go first who come by themselves, 200 ms at most."],
  contain: ["Contain long calls", "Calls that hold their place for long, or hang, leave room for others."],
  limit: ["Limit", "No more calls at once, and no faster, than the service takes; the rest wait."],
  slots: ["Slots", "Whom the service refuses in a storm is told when to come back, each at a time of its own."],
  absorb: ["Absorb refusals", "A refusal with a short time to come back is waited out, and the call sent again.", "no route sets absorb"],
  coalesce: ["Coalesce", "Identical calls in flight share one answer.", "no route sets coalesce"],
  reroute: ["Reroute", "Calls go to the cheaper endpoint, away from one that fails, or to the fallback.", "no upstream has several endpoints or a fallback"],
  acceleration: ["Acceleration", "Demand grows no faster than the provider tolerates.", "no upstream sets acceleration"],
};
const EVERYTHING = "everything";
const form = $("switches");
const selects = () => [...form.elements].filter((element) => element.name);
let hello = null, isLive = false;

const isIdle = (name) => hello?.policies[name]?.n === 0;
const titleOf = (name) => POLICIES[name]?.[0] ?? EVERYTHING;

function rowOf(name, [title, about]) {
  const select = make("select", { name, id: `switch-${name}`, "aria-describedby": `about-${name}`, disabled: "" },
    ...["govern", "observe", "off"].map((state) => make("option", {}, state)));
  const idle = make("span", { class: "chip" }, "not in use");
  return make("div", { class: "policy" }, make("label", { for: `switch-${name}` }, title), select, idle, make("p", { id: `about-${name}` }, about));
}
$("policy-list").append(...Object.entries(POLICIES).map(([name, texts]) => rowOf(name, texts)));

export function meetSwitches(page) {
  hello = page;
  for (const [name, [, about, needs]] of Object.entries(POLICIES)) {
    const { n_own: nOwn, own } = page.policies[name];
    const more = nOwn > own.length ? ` and ${nOwn - own.length} more` : "";
    const notes = [about];
    if (isIdle(name)) notes.push(`It has nothing to do: ${needs}.`);
    if (nOwn) notes.push(`Decided by the route itself: ${own.join(", ")}${more}.`);
    setText($(`about-${name}`), notes.join(" "));
    $(`switch-${name}`).parentElement.toggleAttribute("data-idle", isIdle(name));
  }
}

// A switch shows where it stands only while that is known.
export function enableSwitches(isKnown) {
  isLive = isKnown;
  for (const select of selects()) select.disabled = !isKnown || isIdle(select.name);
}

export function showSwitches(modes) {
  enableSwitches(true);
  for (const select of selects()) {
    if (select !== document.activeElement) select.value = modes[select.name];
    select.dataset.value = modes[select.name];
  }
  const isObserving = modes.mode === "observe";
  const used = Object.keys(POLICIES).filter((name) => !isIdle(name));
  const count = (state) => used.filter((name) => (isObserving && modes[name] === "govern" ? "observe" : modes[name]) === state).length;
  const told = [["govern", "govern"], ["observe", "observe"], ["off", "off"]].filter(([state]) => count(state)).map(([state, word]) => `${count(state)} ${word}`);
  const nIdle = Object.keys(POLICIES).length - used.length;
  setText($("policies-now"), [...told, ...(nIdle ? [`${nIdle} not in use`] : [])].join(", "));
  $("policies-observing").hidden = !isObserving;
}

function question(name, value) {
  const { n_own: nOwn } = hello.policies[name] ?? { n_own: 0 };
  const kept = nOwn ? ` ${nOwn} ${nOwn === 1 ? "route that decides itself stays" : "routes that decide themselves stay"} as ${nOwn === 1 ? "it is" : "they are"}.` : "";
  const alone = hello.in_fleet ? " Only this governor is switched, not the others of its fleet." : "";
  return `Set ${titleOf(name)} to ${value}, for every upstream, until Governor restarts?${kept}${alone}`;
}

// Throws a switch when a person asks for it; tells how it went by ``told`` or ``failed``.
export function listenToSwitches(told, failed) {
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", async ({ target }) => {
    const before = target.dataset.value;
    if (!isLive || !window.confirm(question(target.name, target.value))) {
      target.value = before;
      return;
    }
    const body = JSON.stringify({ switch: target.name, to: target.value });
    try {
      const answer = await fetch("/switch", { method: "POST", headers: { "Content-Type": "application/json", "X-Governor-Write": "1" }, body });
      if (!answer.ok) throw new Error((await answer.json()).error.message);
      showSwitches(await answer.json());
      told(`${titleOf(target.name)}: ${target.value}`);
    } catch (error) {
      target.value = before;
      failed(`Not switched: ${error.message}`);
    }
  });
}

// Rule of this file: what all governors of the fleet have together, and who they are; asked for once a
// second while somebody looks, and never again where there is no fleet.
import { $, make, number, percent, setText } from "./text.js";

const EVERY_MS = 1000, SHOWN = 12;
let state = "";

// What a state means, and how grave it is.
const SERVER = {
  up: ["up", "good", "The view of the others is fresh."],
  settling: ["settling", "warn", "A governor left: its places go to the others step by step, for two seconds."],
  rejoining: ["rejoining", "warn", "The view of the others was lost and is back: shares grow step by step, for two seconds."],
  "local only": ["local only", "bad", "The fleet’s server does not answer: this governor goes on with its last share."],
  "not reached yet": ["not reached yet", "bad", "The fleet’s server has not answered since the start: this governor decides alone."],
};
const MEMBER = { leads: ["leads", "good"], up: ["up", "good"], silent: ["silent", "warn"], gone: ["gone", "bad"], alone: ["alone", "bad"], "not known": ["not known", ""] };

const chip = ([word, kind]) => make("span", { class: `chip ${kind}` }, word);
const age = (s) => (s === null || s < 0 ? "never" : s < 1 ? `${Math.round(1000 * s)} ms` : s < 90 ? `${Math.round(s)} s` : `${Math.round(s / 60)} min`);
const row = (...cells) => make("tr", {}, ...cells.map((content) => make("td", {}, content)));

function memberRow(member) {
  const isOut = member.state === "gone";
  const label = make("code", { title: member.who }, member.who.replace("governor-", ""));
  const name = member.is_own ? make("span", {}, label, " ", make("strong", {}, "this one")) : label;
  const numbers = [member.in_flight, member.waiting, member.demand, member.arrived].map((x) => (isOut ? "–" : number(x)));
  const element = row(name, chip(MEMBER[member.state] ?? [member.state, ""]), age(member.heard_s), member.share === null ? "–" : percent(member.share), ...numbers);
  element.toggleAttribute("data-chosen", member.is_own);
  return element;
}

// Of the rows shown where they are all there are, so that they add up; else as the server sums them.
function totalRow(seen, here) {
  const sum = (key) => here.reduce((n, member) => n + member[key], 0);
  const fleet = here.length === seen.governors && here.length <= SHOWN ? { in_flight: sum("in_flight"), waiting: sum("waiting"), demand: sum("demand"), arrived: sum("arrived") } : seen.fleet;
  const open = `${number(fleet.in_flight)} / ${number(seen.limit)}`;
  const element = row(seen.governors === 1 ? "All: 1 governor" : `All: ${seen.governors} governors`, "", "", "100 %", open, number(fleet.waiting), number(fleet.demand), number(fleet.arrived));
  element.className = "total";
  return element;
}

function showMembers(name, seen) {
  const here = seen.members.filter((member) => member.state !== "gone");
  const shown = [...here.slice(0, SHOWN), ...seen.members.filter((member) => member.state === "gone").slice(0, 3)];
  setText($("fleet-name"), name);
  $("fleet-rows").replaceChildren(...shown.map(memberRow), totalRow(seen, here));
  const left = seen.governors - Math.min(here.length, SHOWN);
  const { fleet } = seen;
  const worked = fleet.useful_s + fleet.wasted_s;
  setText($("fleet-note"), [
    left > 0 && here.length ? `${number(left)} more ${left === 1 ? "governor is" : "governors are"} in the sum.` : "",
    worked ? `Of the upstream time of all, ${percent(fleet.wasted_s / worked)} was of no use to anybody.` : "",
  ].join(" ").trim());
}

function showServer(fleet, upstreams) {
  const order = Object.keys(SERVER);
  const worst = upstreams.reduce((found, [, seen]) => (order.indexOf(seen.server_state) > order.indexOf(found) ? seen.server_state : found), "up");
  const ages = upstreams.map(([, seen]) => seen.age_s);
  const exchanges = upstreams.map(([, seen]) => seen.exchanges);
  const failed = exchanges.reduce((n, x) => n + x.failed, 0), done = exchanges.reduce((n, x) => n + x.done, 0);
  const oldest = ages.some((x) => x < 0) ? null : Math.max(...ages);
  const why = exchanges.find((x) => x.last_error)?.last_error;
  const [word, , meaning] = SERVER[worst];
  $("fleet-state").replaceChildren(chip(SERVER[worst]));
  const heard = oldest === null ? "There was no exchange with " : `The last exchange was ${age(oldest)} ago, with `;
  $("fleet-server").replaceChildren(`${meaning} ${heard}`, make("code", {}, fleet.server), `; ${number(failed)} of ${number(done + failed)} failed${why ? `, the latest: ${why}` : ""}.`);
  if (state && state !== worst) setText($("announce"), `The fleet is ${word}. ${meaning}`);
  state = worst;
}

// What the whole page is to say of it; nothing while all is well.
export const fleetNote = () => (state === "local only" || state === "not reached yet" ? SERVER[state][2] : "");

// Of the upstream that is chosen, and of others that are not as they should be.
function showWords(upstreams, chosen) {
  const told = upstreams.filter(([name, seen]) => name === chosen || seen.storm.is_on || seen.server_state !== "up").slice(0, SHOWN);
  $("fleet-words").replaceChildren(...told.map(([name, seen]) => make("li", {},
    `${name}: ${seen.in_words}${seen.storm.is_on ? " All together foresee a storm." : ""}`)));
}

async function renew() {
  setTimeout(renew, EVERY_MS);
  if (document.hidden || document.body.dataset.state !== "live") return;
  let fleet;
  try {
    fleet = (await (await fetch("/fleet?members")).json()).fleet;
  } catch {
    return; // said above: the connection is lost
  }
  $("fleet").hidden = !fleet;
  if (!fleet) { // started again with another configuration
    state = "";
    return;
  }
  const upstreams = Object.entries(fleet.upstreams);
  showServer(fleet, upstreams);
  const chosen = fleet.upstreams[document.body.dataset.chosen] ? document.body.dataset.chosen : upstreams[0][0];
  showWords(upstreams, chosen);
  showMembers(chosen, fleet.upstreams[chosen]);
}

// Begins once the stream has said whether there is a fleet.
export function meetFleet(page) {
  if (page.in_fleet && !meetFleet.isMet) renew();
  meetFleet.isMet ||= page.in_fleet;
}

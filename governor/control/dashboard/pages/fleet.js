// Rule of this file: what all governors of the fleet have together; asked for once a second, and
// never again where there is no fleet.
import { $, make, number, percent } from "./text.js";

const EVERY_MS = 1000;

function row(name, seen) {
  const { fleet } = seen;
  const worked = fleet.useful_s + fleet.wasted_s;
  const cells = [
    name, number(seen.governors), percent(seen.share), `${number(fleet.in_flight)} / ${number(seen.limit)}`,
    number(fleet.waiting), number(fleet.arrived), percent(worked ? fleet.wasted_s / worked : 0),
  ];
  return make("tr", {}, ...cells.map((text) => make("td", {}, text)));
}

async function renew() {
  let fleet;
  try {
    fleet = (await (await fetch("/fleet")).json()).fleet;
  } catch {
    setTimeout(renew, EVERY_MS);
    return;
  }
  if (!fleet) return;
  $("fleet").hidden = false;
  const upstreams = Object.entries(fleet.upstreams);
  $("fleet-rows").replaceChildren(...upstreams.map(([name, seen]) => row(name, seen)));
  $("fleet-words").replaceChildren(...upstreams.map(([name, seen]) => make("li", {},
    `${name}: ${seen.in_words}${seen.storm.is_on ? " All together foresee a storm." : ""}`)));
  setTimeout(renew, EVERY_MS);
}

renew();

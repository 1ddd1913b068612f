// Rule of this file: the connection and its states; what a frame means for which part of the page.
import { Charts } from "./charts.js";
import { fleetNote, meetFleet } from "./fleet.js";
import { showDecisions, showFanout, showWho } from "./people.js";
import { forgetEpisodes, showEpisodes, tell } from "./storms.js";
import { enableSwitches, listenToSwitches, meetSwitches, showSwitches } from "./switches.js";
import { Upstreams, showTotals } from "./table.js";
import { $, clock, make, seconds, setText, since, verdict } from "./text.js";

const FRAMES_MAX = 480, RETRY_MS = 3000, LATE_S = 0.05, READ_MS = 10000, ANEW_S = 1;
let hello, table, charts, frames = [], chosen = 0, told = {}, lastAt = 0, source, known = new Map(), isDue = false, notice = null;

function setState(state, text) {
  document.body.dataset.state = state;
  setText($("connection-text"), text);
  enableSwitches(state === "live" && frames.at(-1)?.modes !== undefined);
}

function announce(text) {
  setText($("announce"), text);
}

function banner(text, kind = "warn") {
  $("banner").hidden = !text;
  $("banner").dataset.kind = kind;
  setText($("banner"), text ?? "");
}

function connect() {
  source = new EventSource("/stream");
  source.addEventListener("hello", (event) => meet(JSON.parse(event.data)));
  source.addEventListener("frame", (event) => take(JSON.parse(event.data)));
  source.addEventListener("error", lose);
}

async function lose() {
  source.close();
  let isThere = false;
  try {
    isThere = (await fetch("/healthz/live")).ok;
  } catch { /* gone: said below */ }
  const since = lastAt ? ` Numbers are of ${new Date(lastAt).toTimeString().slice(0, 8)}.` : "";
  const wasLive = document.body.dataset.state === "live";
  if (isThere && wasLive) {
    setState("lost", "Joining again");
    banner(`The connection broke off.${since} Joining again.`);
  } else if (isThere) {
    setState("full", "Too many viewers");
    $("empty").replaceChildren("Meanwhile, the same numbers: ", make("a", { href: "/state?pretty" }, "state"), ", ", make("a", { href: "/metrics" }, "metrics"), ", or ", make("code", {}, "governor top"), " in a terminal.");
    banner(`As many people watch as may. This page joins as soon as one leaves.${since}`, "bad");
  } else {
    if (wasLive) announce("The connection to Governor is lost.");
    setState("lost", "Not connected");
    banner(`Governor does not answer.${since} Trying again every ${RETRY_MS / 1000} s.`, "bad");
    setText($("empty"), "Governor does not answer. Is it running, and is this its control port?");
  }
  setTimeout(connect, RETRY_MS);
}

function meet(page) {
  const isSame = hello && hello.upstreams.join() === page.upstreams.join();
  const isAnew = hello && Math.abs(hello.started_s - page.started_s) > ANEW_S;
  hello = page;
  setText($("version"), page.version);
  if (!isSame) {
    table = new Upstreams(page.upstreams, choose);
    frames = [];
    told = {};
    charts ??= new Charts($("charts"));
  }
  setText($("since"), since(page.started_s));
  if (isAnew) {
    notice = { text: `Governor was started again at ${clock(page.started_s)}: it begins to learn, counts from zero, and every switch stands as its configuration says.`, kind: "warn", until: Date.now() + READ_MS };
    announce("Governor was started again.");
    forgetEpisodes(page.started_s);
    told = {};
    if (frames.length) frames.push({ t: frames.pop().t + 0.01 }); // its sentences are of another life
  }
  const past = page.history.map(([t, rows]) => ({ t, rows })).filter((frame) => !frames.length || frame.t > frames.at(-1).t);
  if (frames.length && past.length) frames.push({ t: past[0].t - 0.01 }); // a gap is drawn as one
  frames.push(...past);
  showDecisions(page, true);
  meetSwitches(page);
  choose(Math.min(chosen, page.upstreams.length - 1));
  known = new Map();
  setState("live", "Connected");
  meetFleet(page);
  banner();
}

function choose(idx) {
  chosen = idx;
  table.choose(idx);
  const name = hello.upstreams[idx];
  document.body.dataset.chosen = name;
  setText($("one-title"), name);
  $("one-title").title = (hello.endpoints[name] ?? []).join(" ");
  if (frames.at(-1)?.totals) show();
}

function take(frame) {
  const gap = frames.at(-1) && frame.t - frames.at(-1).t > 4 * frame.every_s;
  if (gap) frames.push({ t: frame.t - 0.01 });
  frames.push(frame);
  if (frames.length > 1) { // only the newest keeps its sentences
    const before = frames.at(-2);
    frames[frames.length - 2] = { t: before.t, rows: before.rows };
  }
  if (frames.length > FRAMES_MAX) frames.splice(0, frames.length - FRAMES_MAX);
  Object.assign(told, frame.words);
  lastAt = Date.now();
  document.body.dataset.hasNumbers = "";
  showDecisions(frame.decisions);
  if (frame.who) showWho(frame.who);
  follow(frame);
  if (!isDue && !document.hidden) {
    isDue = true;
    requestAnimationFrame(() => { isDue = false; show(); });
  }
}

// Only a beginning and an end are announced: a screen reader is not to be talked over.
function follow(frame) {
  for (const episode of frame.episodes) {
    const id = `${episode.upstream} ${episode.started_s}`;
    const was = known.get(id);
    known.set(id, episode.ended_s);
    if (was === undefined && episode.ended_s === null) announce(`Trouble at ${episode.upstream}.`);
    else if (was === null && episode.ended_s !== null) announce(`Over. ${tell(episode, frame.t)}`);
  }
}

function show() {
  const frame = frames.at(-1);
  if (!frame?.totals) return;
  table.set(frame, hello.columns, hello.signs);
  charts.set(hello.columns, frames, chosen, frame.forecast[chosen], hello.forecast_step_s);
  showTotals(hello.totals, frame.totals[chosen], frame.fanout);
  showEpisodes(frame.episodes, frames, hello.upstreams, hello.columns, frame.t);
  showSentences(frame);
  showSwitches(frame.modes);
  const isEmpty = frame.totals.every((totals) => totals[0] === 0);
  $("empty").hidden = !isEmpty;
  if (isEmpty) $("empty").replaceChildren("No calls yet. Governor is ready: point a caller at ", make("code", {}, listenerUrl()), " instead of the service, and its rhythm shows here.");
  if (notice && Date.now() < notice.until) { // long enough to be read
    banner(notice.text, notice.kind);
    return;
  }
  const notes = [];
  if (frame.status !== "ready") notes.push(`Governor is ${frame.status}.`);
  if (frame.modes.mode === "observe") notes.push("Observing: everything is decided and shown, nothing is changed.");
  if (fleetNote()) notes.push(fleetNote());
  if (frame.lag_s > LATE_S) notes.push(`This machine is overloaded: Governor itself runs ${seconds(frame.lag_s)} late.`);
  const kind = notes.length ? "warn" : "calm";
  if (frame.every_s > 2.5) notes.push(`Updates come every ${seconds(frame.every_s)}, so that watching costs the proxy next to nothing.`);
  banner(notes.join(" "), kind);
}

const listenerUrl = () => (hello.listeners[0] ? `http://${hello.listeners[0]}` : "its listener");

function showSentences(frame) {
  const name = hello.upstreams[chosen];
  const lines = [...(told[name] ?? ["…"]), ...showFanout(frame.fanout)];
  const place = $("words");
  while (place.children.length < lines.length) place.append(make("li"));
  while (place.children.length > lines.length) place.lastChild.remove();
  lines.forEach((line, idx) => setText(place.children[idx], line));
  const columns = hello.columns, row = frame.rows[chosen];
  const state = verdict(row[columns.indexOf("signs")], hello.signs, row[0]);
  const chip = $("one-state").firstChild ?? $("one-state").appendChild(make("span"));
  chip.className = `chip ${state.kind}`;
  setText(chip, state.word);
}

listenToSwitches(announce, (why) => {
  notice = { text: why, kind: "bad", until: Date.now() + READ_MS };
  banner(why, "bad");
  announce("Not switched.");
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) show(); });
connect();

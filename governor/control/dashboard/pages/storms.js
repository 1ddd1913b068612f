// Rule of this file: one stretch of trouble as lanes over time: demand above, each sign as bars below.
import { $, SIGN_WORDS, clock, isBadSign, make, number, seconds } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 150, TOP = 46, LANE = 19, DRAWN = 2; // older ones are a line of text
let WIDTH = 640;

function shape(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

// In the order in which the signs first showed.
const lanes = (episode) => Object.entries(episode.spans).sort((a, b) => a[1][0][0] - b[1][0][0]);

export function tell(episode, now) {
  const end = episode.ended_s ?? now;
  const first = lanes(episode)[0];
  const over = episode.ended_s === null ? "so far" : "in all";
  return `${episode.upstream}: ${clock(episode.started_s)}, ${seconds(end - episode.started_s)} ${over}. ` +
    `First sign: ${SIGN_WORDS[first?.[0]] ?? "–"}. At most ${number(episode.peaks.arrivals_hz)} calls/s, ${number(episode.peaks.waiting)} waiting.`;
}

function drawDemand(svg, episode, frames, idx, columns, x, from, to) {
  const at = columns.indexOf("arrivals_hz"), cap = columns.indexOf("capacity_hz");
  const seen = frames.filter((frame) => frame.rows && frame.t >= from && frame.t <= to);
  if (idx < 0 || seen.length < 2) return;
  const most = Math.max(1, ...seen.map((frame) => Math.max(frame.rows[idx][at], frame.rows[idx][cap])));
  const y = (hz) => (TOP - 4 - (TOP - 10) * hz / most).toFixed(1);
  const line = (column) => seen.map((frame) => `${x(frame.t).toFixed(1)},${y(frame.rows[idx][column])}`);
  const points = line(at);
  svg.append(shape("polygon", { class: "area", points: [`${x(seen[0].t)},${TOP - 4}`, ...points, `${x(seen.at(-1).t)},${TOP - 4}`].join(" ") }));
  svg.append(shape("polyline", { class: "capacity", points: line(cap).join(" ") }));
  svg.append(shape("text", { x: 0, y: TOP - 8 }, `demand, up to ${number(most)}/s`));
}

function draw(episode, frames, idx, columns, now) {
  const end = episode.ended_s ?? now;
  const pad = Math.max(1, 0.08 * (end - episode.started_s));
  const from = episode.started_s - pad, to = end + (episode.ended_s === null ? 0 : pad);
  const x = (t) => LEFT + (WIDTH - LEFT - 6) * Math.min(1, Math.max(0, (t - from) / (to - from)));
  const rows = lanes(episode);
  const height = TOP + LANE * rows.length + 18;
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${height}`, "aria-hidden": "true" });
  drawDemand(svg, episode, frames, idx, columns, x, from, to);
  rows.forEach(([name, spans], lane) => {
    const y = TOP + LANE * lane;
    svg.append(shape("text", { x: 0, y: y + 11 }, SIGN_WORDS[name]));
    svg.append(shape("line", { class: "axis", x1: LEFT, x2: WIDTH - 6, y1: y + LANE - 2, y2: y + LANE - 2 }));
    for (const [start, stop] of spans) {
      svg.append(shape("rect", { class: isBadSign(name) ? "bar" : "bar warn", x: x(start), y: y + 2, width: Math.max(2, x(stop) - x(start)), height: LANE - 7, rx: 2 }));
    }
  });
  svg.append(shape("text", { x: LEFT, y: height - 4 }, clock(episode.started_s)));
  svg.append(shape("text", { x: WIDTH - 6, y: height - 4, "text-anchor": "end" }, episode.ended_s === null ? "now" : clock(end)));
  return svg;
}

// A governor that was started again knows nothing of what was going on, nor how it ended.
export function forgetEpisodes(t) {
  $("episodes").replaceChildren(make("p", { class: "quiet" }, `None seen since Governor was started again at ${clock(t)}.`));
}

export function showEpisodes(episodes, frames, upstreams, columns, now) {
  if (!episodes.length) return;
  WIDTH = Math.max(300, $("episodes").clientWidth);
  const latest = episodes.slice().reverse();
  const isDrawn = (episode, idx) => idx < DRAWN || episode.ended_s === null;
  const found = latest.map((episode, idx) => make("article", { class: "episode" },
    make("h3", {}, episode.ended_s === null ? "Going on" : "Over"),
    make("p", { class: "quiet" }, tell(episode, now)),
    ...(isDrawn(episode, idx) ? [draw(episode, frames, upstreams.indexOf(episode.upstream), columns, now)] : [])));
  $("episodes").replaceChildren(...found);
}

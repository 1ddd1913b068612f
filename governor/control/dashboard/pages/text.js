// Rule of this file: numbers to text and text to elements; textContent only, never markup.
export const $ = (id) => document.getElementById(id);

export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function number(x) {
  if (x === null || x === undefined) return "–";
  if (x >= 10000) return `${(x / 1000).toFixed(x >= 100000 ? 0 : 1)}k`;
  if (x > 0 && x < 0.005) return "<0.01";
  if (x >= 1000) return Math.round(x).toLocaleString("en");
  return x >= 100 || Number.isInteger(x) ? String(Math.round(x)) : x.toFixed(x < 0.1 ? 2 : 1);
}

export const percent = (x) => (x > 0 && x < 0.001 ? "<0.1 %" : `${(100 * x).toFixed(x < 0.1 && x > 0 ? 1 : 0)} %`);

export const seconds = (x) => (x >= 600 ? `${Math.round(x / 60)} min` : x >= 10 ? `${Math.round(x)} s` : `${x.toFixed(1)} s`);

export const clock = (t) => new Date(1000 * t).toTimeString().slice(0, 8);

// When that was: the day only where it is another one.
export const since = (t) => `${new Date(1000 * t).toDateString() === new Date().toDateString() ? "" : `${new Date(1000 * t).toLocaleDateString()} `}${clock(t)}`;

export function ago(t) {
  if (t === null) return "–";
  const s = Math.max(0, Date.now() / 1000 - t);
  return s < 90 ? `${Math.round(s)} s ago` : s < 5400 ? `${Math.round(s / 60)} min ago` : `${Math.round(s / 3600)} h ago`;
}

export const SIGN_WORDS = {
  in_step: "callers in step",
  storm_foreseen: "storm foreseen",
  cascade: "retries feed themselves",
  saturated: "saturated",
  waiting: "calls wait",
  sent_away: "calls sent away",
  fan_out: "a tree fans out",
  endpoint_out: "endpoint out of use",
};
const BAD = ["cascade", "storm_foreseen", "fan_out", "endpoint_out"];
const WARN = ["saturated", "in_step", "sent_away", "waiting"];

// The one word for an upstream's state: the gravest of its signs.
export function verdict(signs, names, arrivals) {
  const on = new Set(names.filter((_, bit) => (signs >> bit) & 1));
  for (const name of BAD) if (on.has(name)) return { word: SIGN_WORDS[name], kind: "bad", rank: 2 };
  for (const name of WARN) if (on.has(name)) return { word: SIGN_WORDS[name], kind: "warn", rank: 1 };
  return arrivals > 0 ? { word: "calm", kind: "good", rank: 0 } : { word: "no calls", kind: "", rank: 0 };
}

export const isBadSign = (name) => BAD.includes(name);

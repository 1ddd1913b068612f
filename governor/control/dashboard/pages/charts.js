// Rule of this file: one upstream's numbers over time, drawn by uPlot; each chart says in text what it shows.
import { make, number, percent, setText } from "./text.js";

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Each series: label, colour, and how to read it from a row (r = by column name).
const CHARTS = [
  {
    title: "Demand, calls a second", height: 230, forecast: true, format: number,
    series: [
      { label: "arrivals", color: "demand", read: (r) => r.arrivals_hz, fill: true },
      { label: "of them retries", color: "retries", read: (r) => r.retries_hz },
      { label: "proven capacity", color: "capacity", read: (r) => r.capacity_hz || null, dash: [6, 4] },
      { label: "forecast", color: "forecast", read: () => null, dash: [2, 3], isForecast: true },
    ],
  },
  {
    title: "In flight and the limit", format: number,
    series: [
      { label: "in flight", color: "flight", read: (r) => r.in_flight, fill: true },
      { label: "limit", color: "capacity", read: (r) => r.limit, dash: [6, 4] },
    ],
  },
  {
    title: "Waiting, by band", format: number,
    series: [ // each drawn on top of the next, so that what shows of it is its own part
      { label: "in a crowd", color: "crowd", read: (r) => r.waiting_own + r.waiting_long + r.waiting_crowd, show: (r) => r.waiting_crowd, fill: true },
      { label: "long calls", color: "long", read: (r) => r.waiting_own + r.waiting_long, show: (r) => r.waiting_long, fill: true },
      { label: "alone", color: "own", read: (r) => r.waiting_own, fill: true },
    ],
  },
  {
    title: "Share of retries, share of waste", format: percent, range: [0, 1],
    series: [
      { label: "retries", color: "retries", read: (r) => r.retry_share },
      { label: "wasted", color: "long", read: (r) => r.waste_recent, dash: [6, 4] },
    ],
  },
  {
    title: "Callers in step, nats (20 alarms)", format: number,
    series: [
      { label: "in step", color: "forecast", read: (r) => r.synchrony_nats, fill: true },
      { label: "alarm", color: "capacity", read: () => 20, dash: [6, 4] },
    ],
  },
];

const asObject = (columns, row) => Object.fromEntries(columns.map((name, idx) => [name, row[idx]]));

class Chart {
  constructor(spec, place) {
    this.spec = spec;
    this.keys = spec.series.map((series) => {
      const swatch = make("i", series.dash ? { class: "dash" } : {});
      const value = make("span");
      this.swatches = [...(this.swatches ?? []), swatch];
      return { value, element: make("span", { class: "key" }, swatch, `${series.label} `, value) };
    });
    this.plot = make("div", { class: "plot", "aria-hidden": "true" });
    const caption = make("figcaption", {}, make("b", {}, spec.title), ...this.keys.map((key) => key.element));
    this.figure = make("figure", {}, caption, this.plot);
    place.append(this.figure);
    new ResizeObserver(() => this.resize()).observe(this.plot);
  }

  draw() { // anew: at the start and when light turns dark
    this.uplot?.destroy();
    const grid = { stroke: color("grid"), width: 1 };
    const axis = { stroke: color("soft"), grid, ticks: grid, font: "11px system-ui" };
    const { spec } = this;
    this.swatches.forEach((swatch, idx) => { swatch.style.borderTopColor = color(spec.series[idx].color); });
    this.uplot = new window.uPlot({
      width: this.plot.clientWidth || 300, height: spec.height ?? 150, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: true }, y: { range: spec.range ?? ((_, least, most) => [0, Math.max(1, most * 1.15)]) } },
      axes: [
        { ...axis, size: 30, space: 70, values: (_, ticks) => ticks.map((t) => new Date(1000 * t).toTimeString().slice(0, 8)) },
        { ...axis, size: 48, values: (_, ticks) => ticks.map(spec.format) },
      ],
      series: [{}, ...spec.series.map((series) => ({
        label: series.label, stroke: color(series.color), width: 1.7, dash: series.dash, points: { show: false },
        fill: series.fill ? `${color(series.color)}${spec.series.length > 2 && !spec.forecast ? "" : "26"}` : undefined,
      }))],
    }, this.data ?? [[], ...spec.series.map(() => [])], this.plot);
  }

  set(times, rows, forecast, step) {
    const { spec } = this;
    const data = [times.slice(), ...spec.series.map((series) => rows.map((r) => (r ? series.read(r) : null)))];
    const last = rows.at(-1);
    if (spec.forecast && last) {
      forecast.forEach((hz, idx) => {
        data[0].push(times.at(-1) + step * (idx + 1));
        spec.series.forEach((series, s) => data[s + 1].push(series.isForecast ? hz : series.dash ? series.read(last) : null));
      });
      const at = spec.series.findIndex((series) => series.isForecast);
      data[at + 1][times.length - 1] = last.arrivals_hz;
    }
    this.data = data;
    this.uplot?.setData(data);
    spec.series.forEach((series, idx) => {
      const value = series.isForecast ? Math.max(...forecast) : last && (series.show ?? series.read)(last);
      setText(this.keys[idx].value, value === null || value === undefined ? "–" : spec.format(value));
    });
  }

  resize() {
    const width = this.plot.clientWidth;
    if (!this.uplot || this.uplot.width !== width) this.uplot ? this.uplot.setSize({ width, height: this.spec.height ?? 150 }) : this.draw();
  }
}

export class Charts {
  constructor(place) {
    this.all = CHARTS.map((spec) => new Chart(spec, place));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.all.forEach((chart) => chart.draw()));
  }

  set(columns, frames, idx, forecast, step) {
    const times = frames.map((frame) => frame.t);
    const rows = frames.map((frame) => (frame.rows ? asObject(columns, frame.rows[idx]) : null));
    for (const chart of this.all) chart.set(times, rows, forecast, step);
  }
}

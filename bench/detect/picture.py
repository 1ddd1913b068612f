"""Section "picture": the timeline of one storm per fault: readings, forecast and truth.

*Rule of this file*: one run per fault and its figure. Truth (who calls, and
which calls are retries) comes from the simulation; readings and forecast from
the signals, which are told neither.

*How to read a figure*: above, calls per second as they really came, fresh and
repeated, against what the service can take. The dark line is what the forecast
said of each instant one second before; dotted is the whole forecast as it
stood when the storm alarm rose. Below, two readings. Marks say when which
alarm first stood. Colours are Okabe and Ito's, told apart by the colour-blind.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from bench.detect.base import Options, Section
from bench.detect.callers import NEVER_S, Fleet
from bench.detect.consumer import Watch, make_banks
from bench.detect.service import FAULTS, PATIENCE_S, World
from bench.detect.simulation import Simulation, Truth
from bench.detect.storm_cases import ALARMS
from signals import SignalBank

N_AGENTS, LAW, LOAD = 5_000, "openai", 0.75
FAULT_S = 50.0
FROM_S, UNTIL_S = -3.0, 13.0
"""Shown, from the fault."""

BIN_S = 0.1
FORECAST_BIN_S = 0.05
AHEAD_S = 1.0

READINGS = ("retry_share", "retry_synchrony", *ALARMS)
CURVE, ALARM_CURVE = "faded", "unfaded"
"""Fields of the forecast: if the refusal fades, and (the storm alarm's) if it does not."""

FRESH, RETRY, CAPACITY = "#9fd3f2", "#e8956a", "#000000"
FORECAST = "#0072b2"
SHARE, NATS, MARK = "#d55e00", "#009e73", "#444444"
NATS_FLOOR, NATS_TOP = 1.0, 4_000.0
"""Of the right axis, which is logarithmic."""

HEADROOM = 0.33
"""Of the upper panel, above the data, for the names of the alarms."""

WORDS = {
    "retry_synchrony_alarm": "retries in step",
    "synchrony_alarm": "callers in step",
    "cascade": "verdict: cascade",
    "storm_alarm": "storm alarm",
    "matched_alarm": "failures come back as callers do",
}
MARKED = ("storm_alarm", "retry_synchrony_alarm", "cascade")
"""Alarms with a mark of their own; the text names all."""

FAULT_WORDS = {
    "crash": "crash: everything in flight breaks, then 2 s of refused connections",
    "refuse": "refusal: nine in ten calls answered 503 for 4 s",
    "stall": "stall: a tenth of the speed for 4 s; callers leave after 2 s",
}


class Film(NamedTuple):
    """One run as a timeline; instants in seconds from the fault."""

    fault: str
    world: World
    truth: Truth
    t_s: list[float]
    readings: dict[str, list[float]]
    ahead: list[tuple[float, float]]
    """(instant, calls per second forecast for it ``AHEAD_S`` before)"""
    alarms_s: dict[str, float]
    at_alarm: list[tuple[float, float]]
    """The whole forecast as the storm alarm rose."""


def curve_of(bank: SignalBank, name: str) -> Any:
    """Return a forecast in calls per second, one value per bin of 50 ms from now."""
    return bank.state.forecast[0][name] / FORECAST_BIN_S


def shoot(fault: str, seed: int, n_agents: int = N_AGENTS) -> Film:
    """Play one storm and keep what the signals said."""
    patience_s = PATIENCE_S if fault == "stall" else NEVER_S
    world = World(
        Fleet(n_agents, LAW, patience_s),
        load=LOAD,
        fault=FAULTS[fault],
        fault_s=FAULT_S,
        end_s=FAULT_S + UNTIL_S,
    )
    bank = make_banks(world.n_flows)[0]
    watch = Watch(bank, READINGS)
    film = Film(fault, world, Truth(), [], {name: [] for name in watch.names}, [], {}, [])
    ahead_bins = round(AHEAD_S / FORECAST_BIN_S)

    def look(now_s: float) -> None:
        at_s = now_s - FAULT_S
        if at_s < FROM_S - AHEAD_S:
            return
        film.t_s.append(at_s)
        for name, value in zip(watch.names, watch.values(), strict=True):
            film.readings[name].append(value)
            if name in ALARMS and value > 0.0 and at_s > 0.0:
                film.alarms_s.setdefault(name, at_s)
        near = curve_of(bank, CURVE)[ahead_bins - 1 : ahead_bins + 1]
        film.ahead.append((at_s + AHEAD_S, float(near.mean())))
        if film.alarms_s.get("storm_alarm") == at_s:
            curve = curve_of(bank, ALARM_CURVE)
            times_s = at_s + FORECAST_BIN_S * (np.arange(len(curve)) + 0.5)
            film.at_alarm.extend(zip(times_s.tolist(), pairs_mean(curve).tolist(), strict=True))

    truth = Simulation(world, [bank], seed).run(look)
    return film._replace(truth=truth)


def pairs_mean(curve: Any) -> Any:
    """Return a curve smoothed over two bins, as wide as the bins of truth."""
    return 0.5 * (curve + np.concatenate((curve[:1], curve[:-1])))


def rates(film: Film) -> tuple[Any, Any, Any]:
    """Return the middles of the bins, and fresh and repeated calls per second in them."""
    t_s, _, attempt = film.truth.arrivals()
    edges = np.arange(FROM_S, UNTIL_S + 1e-9, BIN_S)
    fresh, _ = np.histogram(t_s[attempt == 0] - FAULT_S, edges)
    retry, _ = np.histogram(t_s[attempt > 0] - FAULT_S, edges)
    return edges[:-1] + BIN_S / 2, fresh / BIN_S, retry / BIN_S


def capacity(film: Film) -> tuple[list[float], list[float]]:
    """Return what the service could take, as a step line."""
    full_hz, fault = film.world.capacity_hz, film.world.fault
    low_hz = full_hz * fault.speed * (1.0 if fault.refused_share < 1.0 else 0.0)
    steps_s = [FROM_S, 0.0, fault.length_s, UNTIL_S]
    return steps_s, [full_hz, low_hz, full_hz, full_hz]


def peak_hz(film: Film) -> float:
    """Return the highest point of the upper panel."""
    _, fresh_hz, retry_hz = rates(film)
    forecast_hz = [hz for _, hz in (*film.ahead, *film.at_alarm)]
    return float(max([(fresh_hz + retry_hz).max(), film.world.capacity_hz, *forecast_hz]))


def draw_calls(figure: Any, film: Film) -> None:
    """Draw the upper panel: truth, capacity and forecast."""
    from plotly import graph_objects as go  # type: ignore[import-untyped]

    middle_s, fresh_hz, retry_hz = rates(film)
    for name, values, color in (("fresh calls", fresh_hz, FRESH), ("retries", retry_hz, RETRY)):
        area = go.Scatter(
            x=middle_s,
            y=values,
            name=name,
            stackgroup="calls",
            line={"width": 0, "shape": "hvh"},
            mode="lines",
            fillcolor=color,
        )
        figure.add_trace(area, row=1, col=1)
    steps_s, hz = capacity(film)
    line = {"color": CAPACITY, "width": 1.6, "dash": "dash", "shape": "hv"}
    figure.add_trace(
        go.Scatter(x=steps_s, y=hz, name="capacity", line=line, mode="lines"), row=1, col=1
    )
    for name, points, dash, width in (
        ("forecast 1 s before", film.ahead, "solid", 2.0),
        ("forecast at the alarm, if it goes on", film.at_alarm, "dot", 2.6),
    ):
        if points:
            x, y = zip(*points, strict=True)
            curve = go.Scatter(
                x=x, y=y, name=name, line={"color": FORECAST, "dash": dash, "width": width}
            )
            figure.add_trace(curve, row=1, col=1)


def draw_readings(figure: Any, film: Film) -> None:
    """Draw the lower panel: retry share on the left, nats on the right."""
    from plotly import graph_objects as go

    share = go.Scatter(
        x=film.t_s,
        y=film.readings["retry_share"],
        name="retry share, last second",
        legend="legend2",
        line={"color": SHARE, "width": 2},
    )
    nats = go.Scatter(
        x=film.t_s,
        y=np.maximum(film.readings["retry_synchrony"], NATS_FLOOR),
        name="retries in step (alarm: 20 nats)",
        legend="legend2",
        line={"color": NATS, "width": 2},
    )
    figure.add_trace(share, row=2, col=1)
    figure.add_trace(nats, row=2, col=1, secondary_y=True)
    figure.add_hline(
        y=20.0, row=2, col=1, secondary_y=True, line={"color": NATS, "width": 1, "dash": "dash"}
    )


def mark_alarms(figure: Any, film: Film) -> None:
    """Mark when each alarm first stood, names one below the other."""
    marked = [pair for pair in film.alarms_s.items() if pair[0] in MARKED]
    ordered = sorted(marked, key=lambda pair: pair[1])
    for number, (name, at_s) in enumerate(ordered):
        for row in (1, 2):
            figure.add_vline(x=at_s, row=row, col=1, line={"color": MARK, "width": 1})
        figure.add_annotation(
            x=at_s,
            y=0.99 - 0.075 * number,
            yref="y domain",
            xref="x",
            text=f"{WORDS[name]}, {at_s:.2f} s",
            showarrow=False,
            xanchor="left",
            yanchor="top",
            xshift=4,
            bgcolor="rgba(255,255,255,0.75)",
            font={"size": 13, "color": MARK},
        )


def draw_axes(figure: Any, film: Film) -> None:
    """Give both panels their scales and titles."""
    grid = {"gridcolor": "#e6e6e6", "zerolinecolor": "#bbbbbb", "linecolor": "#bbbbbb"}
    figure.update_xaxes(range=[FROM_S, UNTIL_S], dtick=1, **grid)
    figure.update_xaxes(title="seconds from the fault (grey: while it lasts)", row=2, col=1)
    figure.update_yaxes(rangemode="tozero", **grid)
    figure.update_yaxes(
        title="calls per second", range=[0, peak_hz(film) / (1.0 - HEADROOM)], row=1, col=1
    )
    figure.update_yaxes(title="share", range=[0, 1], row=2, col=1)
    figure.update_yaxes(
        title="nats",
        type="log",
        range=[np.log10(NATS_FLOOR), np.log10(NATS_TOP)],
        tickvals=[1, 20, 1000],
        ticktext=["≤ 1", "20", "1,000"],
        showgrid=False,
        row=2,
        col=1,
        secondary_y=True,
    )


def draw(film: Film) -> Any:
    """Return the figure of one storm."""
    from plotly.subplots import make_subplots  # type: ignore[import-untyped]

    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        row_heights=[0.67, 0.33],
        vertical_spacing=0.1,
        specs=[[{}], [{"secondary_y": True}]],
    )
    draw_calls(figure, film)
    draw_readings(figure, film)
    for row in (1, 2):
        figure.add_vrect(
            x0=0.0,
            x1=film.world.fault.length_s,
            row=row,
            col=1,
            fillcolor="#bbbbbb",
            opacity=0.28,
            layer="below",
            line_width=0,
        )
    mark_alarms(figure, film)
    fleet = film.world.fleet
    what = FAULT_WORDS[film.fault]
    about = f"{fleet.n:,} agents with the OpenAI SDK, {100 * film.world.load:.0f} % load"
    title = f"{what[0].upper()}{what[1:]}<br><sup>{about}</sup>"
    draw_axes(figure, film)
    across = {"orientation": "h", "yanchor": "bottom", "x": 0.0, "traceorder": "normal"}
    figure.update_layout(
        title={"text": title, "font": {"size": 17}, "x": 0.01, "y": 0.96},
        template="plotly_white",
        font={"family": "DejaVu Sans, Helvetica, Arial, sans-serif", "size": 13},
        width=1100,
        height=620,
        margin={"l": 70, "r": 70, "t": 86, "b": 60},
        legend={**across, "y": 1.0},
        legend2={**across, "y": 0.315},
    )
    return figure


def run(options: Options) -> Section:
    """Play one storm per fault; return its figure."""
    films = [
        shoot(fault, options.report_seeds[0], 500 if options.quick else N_AGENTS)
        for fault in FAULT_WORDS
    ]
    lines = []
    for film in films:
        alarms = ", ".join(
            f"{WORDS[name]} {at_s:.2f} s"
            for name, at_s in sorted(film.alarms_s.items(), key=lambda pair: pair[1])
        )
        lines.append(f"- {FAULT_WORDS[film.fault]}: {alarms or 'no alarm'}.")
    text = (
        f"One storm per fault, seed {options.report_seeds[0]}, callers as the OpenAI SDK retries, "
        f"load {100 * LOAD:.0f} %. Seconds from the fault to each alarm:\n\n" + "\n".join(lines)
    )
    data = {"alarms_s": {film.fault: film.alarms_s for film in films}}
    return Section("Timelines", text, data, [(film.fault, draw(film)) for film in films])

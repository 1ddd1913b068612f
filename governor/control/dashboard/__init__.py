"""The dashboard: what every upstream does now, for people in front of a screen.

The map: ``rows`` (one upstream as a row of numbers), ``sentences`` (decisions in
plain words), ``who`` (who costs the most), ``episodes`` (a storm from its first
sign to its end) -> ``snapshot`` (all of it, every beat) -> ``hub`` (one snapshot
for all who watch, nothing while nobody does) -> ``routes`` (HTTP: pages, stream,
switch). ``pages`` holds what the browser gets; no build step, no network.
"""

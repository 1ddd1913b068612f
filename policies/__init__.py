"""Interventions, each pure: ``now_ns``, an arrival and a view in, a decision out.

Nothing here imports asyncio, a clock, randomness or logging; time and random
numbers are arguments, so the same policy runs in the proxy, in replay and in a
simulation on a virtual clock.
"""

"""What a monitoring stack needs to show and to alarm: a Grafana dashboard, Prometheus rules.

*Rule of this package*: tables made into documents. Names are those of
:mod:`governor.control.metrics`; a test compares every one with what a runtime serves.
"""

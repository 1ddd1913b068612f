"""Configuration: the values, where they come from, their schema, and what to say of mistakes.

The map: ``load`` (flags over environment over file) -> ``yaml_text`` and ``interpolate`` (text to
values), ``tree`` (values that remember their line) -> ``model`` with ``policies``, ``agents`` and
``fleet`` (what may be configured), ``fields`` and ``durations`` (kinds of value) -> ``conflicts``
(between sections), ``messages`` (in the operator's words); ``schema`` is read from ``model``.
"""

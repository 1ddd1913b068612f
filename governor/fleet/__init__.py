"""Many governors, one view per upstream: what each has is summed in Redis or Valkey.

*Rule of this package*: a view of the others, renewed once a tick and never awaited on a request's
path. The gate of each upstream stays the one place that decides.
"""

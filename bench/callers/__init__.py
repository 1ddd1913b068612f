"""Callers of the storm: the fleet of ``governor.load`` with the service's log beside it."""

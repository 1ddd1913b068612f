"""The load harness: fleets of agents that call, time out and retry as real SDKs do."""

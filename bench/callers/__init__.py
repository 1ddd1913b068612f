"""Callers: the retry laws of real SDKs, and an engine that runs thousands of agents."""

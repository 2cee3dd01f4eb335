"""Logs and metrics: what operators see. Never a key, a prompt or a provider's secret."""

"""Upstream: asking Sentry, and understanding what it says."""

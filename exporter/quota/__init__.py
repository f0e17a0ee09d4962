"""Quotas: how much of them was used, when they run out, and what they cost."""

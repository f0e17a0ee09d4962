"""From answers to numbers: what to ask, what to believe, what to count."""

"""From answers to counters: which questions to ask, what is proven, what is counted."""

"""The HTTP face: what scrapers, probes and people get to see."""

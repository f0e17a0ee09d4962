"""When a query is polled, and what a poll does."""

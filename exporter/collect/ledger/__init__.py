"""What a query has read and counted, and what a reading changes in it. Pure."""

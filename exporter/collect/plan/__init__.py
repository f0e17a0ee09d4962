"""What to ask until an answer is proven complete. Pure."""

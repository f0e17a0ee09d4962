"""What is billed, what to ask about it, and what is published of the answers. Pure."""

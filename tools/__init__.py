"""What makes documents from the code."""

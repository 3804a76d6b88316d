"""Where readings come in by other ways than HTTP. What is acknowledged is committed."""

"""What the documents show, as programs."""

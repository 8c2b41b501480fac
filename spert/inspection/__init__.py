"""A look into a model's mistakes: each in one class, what repairing them would bring, and a page to read them in."""

"""`spert search`: settings that are best on the validation split, found with Optuna."""

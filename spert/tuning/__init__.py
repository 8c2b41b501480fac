"""Tuning: thresholds by type and temperatures of a trained model, found on annotated sentences."""

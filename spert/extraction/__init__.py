"""Extraction from corpora of any size: `spert predict`."""

"""Scores of predictions and models: plain functions, an `evaluate.Metric` over them, tables."""

from pathlib import Path

from .scores import PRIMARY_SCORE, compute_scores

METRIC = str(Path(__file__).with_name("entity_relation_metric.py"))
"""What `evaluate.load` takes to load the metric, without a network."""

__all__ = ["METRIC", "PRIMARY_SCORE", "compute_scores"]

"""The parts of the training loop; `train_accelerate.py` puts them together."""

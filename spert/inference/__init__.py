"""How batches pass a model where the host must not be what a GPU waits for.

A forward is started and finished: between the two the host waits for one number of things, and the next batch is on the
device before it does. `eager.py` runs the model as it is, `fixed.py` in few fixed shapes, each of which can be one
captured CUDA graph (`captured.py`). All of it runs on CPUs, too, where tests hold the results to the model's own.
"""

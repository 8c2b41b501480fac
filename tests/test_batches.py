"""Which sentences a step trains on; what several processes do together stands in `test_training.py`."""

from spert.training.batches import ShardedBatchSampler


def test_the_order_of_an_epoch_is_the_same_on_every_machine_and_in_every_version():
    """A run that is resumed elsewhere, or with a newer package, goes on with the sentences that it has not seen."""
    sampler = ShardedBatchSampler(8, 3, seed=42)
    orders = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert orders == [[[4, 1, 6], [3, 5, 7], [2, 0]], [[5, 6, 7], [3, 0, 2], [4, 1]]]

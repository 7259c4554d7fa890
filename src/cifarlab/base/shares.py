"""The rows of a batch, shared out to the processes that train together.

Each process has every ``world_size``-th row, from that of its rank on. What is drawn for a batch is
drawn for the whole of it, alike in all processes, and then shared out: so each image gets what it
gets in a single process.
"""

import torch
from torch import Tensor


def own(batch: Tensor, rank: int, world_size: int) -> Tensor:
    """This process's rows, laid out in memory as the batch is.

    Rows too few for a further one to each process are nobody's, so that all have as many.
    """
    shared = len(batch) // world_size * world_size
    return batch[:shared][rank::world_size].clone()  # keeps the order of the dimensions in memory


def whole(rows: Tensor, rank: int, world_size: int) -> Tensor:
    """The batch with this process's rows in their places and zeros for those of the others, laid
    out in memory as it would be in a single process."""
    image, strides = rows[0].numel(), torch.empty_like(rows).stride()
    shape = (len(rows) * world_size, *rows.shape[1:])
    if len(rows) == 1 or strides[0] == image:  # one image after the other, however it lies
        batch = rows.new_empty_strided(shape, (image, *strides[1:])).zero_()
    else:
        batch = rows.new_zeros(shape)
    batch[rank::world_size] = rows
    return batch

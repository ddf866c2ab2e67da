"""No memory: the model sees its window alone; every memory gain is measured against it.

A strategy without state switches the memory off: the layer then has no read, no gate and none of
their parameters. Of Titans (arXiv 2501.00663, section 4.1), the attention over the window and the
persistent tokens remain.
"""


def init_memory_state(memory, emb_dim):
    return {}


def compute_keys_values(memory, x):
    return x, x


def compute_surprise(memory, state, keys, values, gates):
    return {}


def apply_update(memory, state, surprise, gates):
    return state

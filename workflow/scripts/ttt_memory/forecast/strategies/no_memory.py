"""No memory: what the window alone can do, the floor that every memory gain is measured from.

A strategy without state switches the memory off: the layer has no read, no gate and none of
their parameters. What is left of Titans (arXiv 2501.00663, section 4.1) is the short-term
memory, its attention, and the persistent memory.
"""


def init_memory_state(memory, emb_dim):
    return {}


def compute_keys_values(memory, x):
    return x, x


def compute_surprise(memory, state, keys, values, gates):
    return {}


def apply_update(memory, state, surprise, gates):
    return state

"""Random numbers that follow from a seed and names alone, whoever and whatever else there is."""

import hashlib

import numpy as np


def generator(seed: int | str, *names: str) -> np.random.Generator:
    """Return the random numbers that belong to a seed and some names, whoever else there is."""
    digest = hashlib.sha256("/".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))

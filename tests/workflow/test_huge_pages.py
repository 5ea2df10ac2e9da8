"""On which pages memory lies changes no byte."""

import os
import subprocess
import sys
from pathlib import Path

from heatproof.command import HUGE_PAGES

HASHED = """\
import hashlib
import torch
from threads import METHODS, explain, make_store, train
model, images = train(1), torch.from_numpy(make_store(4).images).float()
found = [*model.state_dict().values(), *(explain(model, images, method=name, **METHODS[name]) for name in METHODS)]
print([hashlib.sha256(values.numpy().tobytes()).hexdigest() for values in found])
"""


def hashes(**environment: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"src:{Path(__file__).parent}", **environment}
    return subprocess.run([sys.executable, "-c", HASHED], env=environment, check=True, stdout=subprocess.PIPE).stdout


def test_weights_and_heatmaps_are_the_same_bytes_on_huge_pages_and_on_single_ones():
    assert hashes(GLIBC_TUNABLES=HUGE_PAGES) == hashes(GLIBC_TUNABLES="glibc.malloc.hugetlb=0")

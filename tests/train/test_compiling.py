"""Compiled training steps: the plain steps' results and weights, and the plain steps where there is no compiler."""

import shutil

import pytest
import torch
from test_fit_model import CPU, OPTIONS, make_store

from heatproof.train.fit_model import fit_model

SEEDS = {"initialisation": 0, "order": 0}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Compile anew: nothing is found that an earlier test compiled."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def fit(**changes):
    """Train a small network, of which each part takes a compiler seconds."""
    options = OPTIONS | {"epochs": 2, "network": OPTIONS["network"] | {"filters": [4], "pools": [2]}} | changes
    model, history = fit_model(make_store(16, 0), make_store(8, 1), options, SEEDS, CPU)
    return model.state_dict(), history


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_compiled_steps_give_the_weights_of_plain_ones_but_for_rounding(caplog):
    weights, history = fit()
    torch._dynamo.utils.counters.clear()
    compiled, compiled_history = fit(compile=True)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert "not compiled" not in caplog.text
    for name, weight in weights.items():
        if weight.ndim > 1:  # the gradient of a bias before a batch norm is rounding alone, which Adam makes a step
            torch.testing.assert_close(compiled[name], weight, rtol=1e-3, atol=1e-4)
    for column in ("train_loss", "validation_loss"):
        assert compiled_history[column].to_list() == pytest.approx(history[column].to_list(), rel=1e-4)


def test_without_a_compiler_steps_are_plain_and_the_log_says_so(caplog, monkeypatch):
    import torch._inductor.config as settings

    weights, _ = fit()
    monkeypatch.setattr(settings.cpp, "cxx", (None, "/no/compiler"))
    plain, _ = fit(compile=True)
    assert "training steps are not compiled" in caplog.text
    assert all(torch.equal(plain[name], weights[name]) for name in weights)

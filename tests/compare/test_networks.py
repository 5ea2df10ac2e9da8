"""Several networks: models are compared within and between networks; all other tables are about pairs within."""

import numpy as np
import pytest

from heatproof.tables import read_table

SEEDS = [f"{network}-{seed}" for network in ("paper", "resnet") for seed in (0, 1, 2)]


@pytest.fixture(scope="module")
def several(make_study, tmp_path_factory):
    """A finished study of two networks with three models each; resnet cannot have the method ``rough``."""
    study = make_study(tmp_path_factory.mktemp("several"))
    for seed in SEEDS:
        study.add_model(seed, {f"sub-{i}": "TP" if i % 2 else "TN" for i in range(6)})
    rows = [
        "network\twhat\tname\tpossible\tnote",
        "paper\tmethod\trough\tyes\t",
        "resnet\tmethod\trough\tno\tit has gates",
    ]
    study.possible.parent.mkdir(exist_ok=True)
    study.possible.write_text("\n".join(rows))
    for seed in SEEDS[3:]:
        (study.root / f"attribute/rough/seed-{seed}/not_possible.txt").write_text("it has gates")
    return study.finish(top_k=2)


def test_pairs_of_all_models_are_in_one_table_by_their_names(several):
    pairs = read_table(several / "l2_pairs.tsv").query("method == 'smooth' and outcome == 'TP'")
    assert len(pairs) == 15 and set(pairs["seed_a"]) | set(pairs["seed_b"]) == set(SEEDS)


def test_the_table_of_networks_has_the_mean_within_each_and_between_two(several):
    values = read_table(several / "smooth/measures.tsv").query(
        "measure == 'pearson' and outcome == 'TP' and left_out == 0"
    )
    found = read_table(several / "networks.tsv").query(
        "method == 'smooth' and measure == 'pearson' and outcome == 'TP'"
    )
    found = found.set_index(["network_a", "network_b"])
    for a, b in [("paper", "paper"), ("paper", "resnet"), ("resnet", "resnet")]:
        chosen = values[values["seed_a"].str.startswith(a) & values["seed_b"].str.startswith(b)]
        assert len(chosen) == (9 if a != b else 3)
        assert found.loc[(a, b), "value"] == pytest.approx(chosen["value"].mean())
        assert found.loc[(a, b), "low"] < found.loc[(a, b), "value"] < found.loc[(a, b), "high"]
    areas = read_table(several / "networks.tsv").query("method == 'smooth' and measure == 'pr_auc'")
    assert areas[["network_a", "network_b"]].to_numpy().tolist() == [["paper"] * 2, ["resnet"] * 2]


def test_scores_are_over_pairs_of_one_network(several):
    within = read_table(several / "networks.tsv").query("method == 'smooth' and network_a == network_b")
    scores = read_table(several / "scores.tsv").query("method == 'smooth'").set_index(["measure", "outcome"])
    means = within.groupby(["measure", "outcome"])["value"].mean()
    np.testing.assert_allclose(scores["value"].reindex(means.index), means)


def test_averages_over_models_are_over_those_of_one_network(several):
    values = read_table(several / "smooth/measures.tsv").query(
        "measure == 'pearson' and outcome == 'TP' and left_out == 0"
    )
    found = read_table(several / "smooth/ensembles.tsv").query("measure == 'pearson' and n_models == 1")
    assert found["network"].tolist() == ["paper", "resnet"] and found["n_sets"].tolist() == [3, 3]
    for network, value in zip(found["network"], found["value"], strict=True):
        within = values[values["seed_a"].str.startswith(network) & values["seed_b"].str.startswith(network)]
        assert value == pytest.approx(within["value"].mean())
    assert set(read_table(several / "rough/ensembles.tsv")["network"]) == {"paper"}


def test_widths_are_predicted_from_the_models_of_one_network(several):
    keys = ["measure", "outcome"]
    seeds = read_table(several / "seeds.tsv").query("method == 'smooth' and n_models == 3").set_index(keys)
    within = read_table(several / "networks.tsv").query("method == 'smooth' and network_a == network_b").set_index(keys)
    for network in ("paper", "resnet"):
        width = seeds.loc[seeds["network"] == network, "width"].loc[("pearson", "TP")]
        bounds = within[within["network_a"] == network].loc[("pearson", "TP")]
        assert width == pytest.approx(bounds["high"] - bounds["low"])


def test_the_accuracy_of_a_model_names_its_network(several):
    accuracy = read_table(several / "accuracy.tsv")
    assert accuracy["seed"].tolist() == SEEDS and accuracy["network"].tolist() == ["paper"] * 3 + ["resnet"] * 3


def test_what_one_network_cannot_have_is_measured_of_the_other(several):
    rows = read_table(several / "networks.tsv").query("method == 'rough' and measure == 'pearson' and outcome == 'TP'")
    assert rows.dropna(subset="value")[["network_a", "network_b"]].to_numpy().tolist() == [["paper", "paper"]]
    notes = read_table(several / "notes.tsv").query("reason == 'left out: it has gates'")
    assert notes["seed"].tolist() == SEEDS[3:] and set(notes["method"]) == {"rough"}

"""Mistakes that can be known before any job starts end the run at once, in one sentence, without a traceback."""

import pytest

MISTAKES = {
    "misspelt": ("train={learning_rat: 0.1}", "unknown key 'learning_rat' in train; did you mean 'learning_rate'?"),
    "misspelt stage": ("atribute={}", "unknown key 'atribute' in the top level; did you mean 'attribute'?"),
    "text for a number": ("train={learning_rate: 1e-4}", "config: train.learning_rate: '1e-4' is text to YAML"),
    "wrong type": ("compare={top_k: many}", "config: compare.top_k: 'many' is no whole number"),
    "out of range": ("train={batch_size: 0}", "config: train.batch_size: 0 is less than the minimum of 1"),
    "unknown method": ("attribute={methods: {lrp: {method: lpr}}}", "attribute.methods.lrp.method is 'lpr'"),
    "misspelt option": (
        "attribute={methods: {occlusion: {ptach: 3}}}",
        "unknown key 'ptach' in attribute.methods.occlusion; did you mean 'patch'?",
    ),
    "no network": (
        "train={network: {function: heatproof.train.network:biuld}}",
        "train.network.function 'heatproof.train.network:biuld' is not found below src/",
    ),
    "too few": ("cohort={split: {test: 30, validation: 18, seed: 0}}", "leaves none of the 28 patients for training"),
    "a wildcard in a path": (
        "cohort={bids: 'my {data}'}",
        "cohort.bids is 'my {data}', whose word in braces is a wildcard",
    ),
    "no dataset": ("cohort={bids: nowhere}", "nowhere/participants.tsv does not exist; cohort.bids must name"),
    "no weights": ("train={models: nowhere.pt}", "train.models names nowhere.pt, which does not exist; correct it"),
    "nothing to train with": ("cohort={split: {test: all}}", "cohort.split leaves no patient for train"),
    "lists of different length": ("train={network: {filters: [8]}}", "train.network.filters and train.network.pools"),
    "no region": (
        "cohort={simulate: {volume_change: {Hipocampus: -1, Amydgala: -1}}}",
        "cohort.simulate.volume_change names 'Amydgala', 'Hipocampus', unknown to the atlas",
    ),
    "no region to measure": (
        "cohort={label: {volume: Hipocampus}}",
        "cohort.label.volume names 'Hipocampus', unknown to the atlas",
    ),
    "no brains": (
        "cohort={simulate: {anatomy_from: nowhere}}",
        "nor is it the folder register of a study; correct cohort.simulate.anatomy_from",
    ),
    "no transform": ("register={transform: Identity}", "a transform type of ants.registration that finds a transform"),
    "grid too small": (
        "register={voxel_size: 12.0}",
        "too small for train.network (pools [2, 3, 2, 3], kernel 3, padding 1); choose a smaller register.voxel_size",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_before_any_job(checkout, mistake):
    override, message = MISTAKES[mistake]
    done = checkout.snakemake("--cores", "1", "--config", override)
    assert done.returncode == 1
    assert message in done.stdout.replace("\n", " "), done.stdout
    assert "Traceback" not in done.stdout
    assert not (checkout.folder / "results").exists()


def test_a_number_that_yaml_reads_in_another_base_is_told_before_any_job(checkout):
    (checkout.folder / "own.yaml").write_text("cohort: {split: {test: 2, validation: 1, seed: 010}}\n")
    done = checkout.snakemake("--cores", "1", "--configfile", "own.yaml")
    assert done.returncode == 1 and "own.yaml, line 1: YAML reads 010 as 8" in done.stdout.replace("\n", " ")

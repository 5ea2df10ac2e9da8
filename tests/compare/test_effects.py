"""Maps are held against what units truly do to a model; effects bound themselves, and models are compared by them."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from heatproof import task
from heatproof.compare.faithfulness import single_pearson, unit_pearson, unit_spearman
from heatproof.images import load_array
from heatproof.tables import read_table, write_table
from heatproof.units import units_of

SHAPE = (6, 7, 5)
OPTIONS = {"cubes": 4.0, "top_k": 2, "participant_groups": 3}
SEEDS = (5, 2, 9, 4)
OUTCOMES = {f"sub-{i}": "FN" if i == 6 else "TP" if i < 7 else "TN" for i in range(9)}
PATIENTS = [f"sub-{i}" for i in range(7)]
RECOGNISED = PATIENTS[:6]
VALUES = ("regions", "cubes", "cubes_density")
FAITHFUL = [f"{of}_{value}" for of in ("faithfulness_pearson", "faithfulness_spearman") for value in VALUES]
SINGLE = [f"single_{measure}" for measure in FAITHFUL]


def test_three_units_by_hand():
    sums, effects = np.array([1.0, 2.0, 4.0]), np.array([2.0, 1.0, 3.0])
    assert unit_pearson(sums, effects, {}) == pytest.approx(2 / np.sqrt(42 / 9 * 2))
    assert unit_spearman(sums, effects, {}) == pytest.approx(0.5)
    assert unit_pearson(sums, -2 * sums + 7, {}) == pytest.approx(-1)
    assert unit_spearman(sums, -np.exp(sums), {}) == pytest.approx(-1)


@pytest.mark.parametrize("measure", [unit_pearson, unit_spearman])
@pytest.mark.parametrize(
    "constant", [np.zeros(6), 0.1 * np.array([3, 7, 9, 11, 13, 17]) / np.array([3, 7, 9, 11, 13, 17])]
)
def test_a_map_that_is_the_same_in_every_unit_has_no_value(measure, constant):
    assert np.isnan(measure(constant, np.arange(6.0), {})) and np.isnan(measure(np.arange(6.0), constant, {}))
    assert np.isnan(measure(np.full(6, np.nan), np.arange(6.0), {}))


def test_scans_without_a_value_have_no_part_in_the_mean():
    effects = np.array([[1.0, 2, 4], [1, 2, 4], [1, 2, 4]])
    sums = np.array([[1.0, 2, 4], [5, 5, 5], [-1, -2, -4]])
    assert single_pearson(sums, effects, {}) == pytest.approx(0)
    assert single_pearson(sums[:2], effects[:2], {}) == pytest.approx(1)
    assert np.isnan(single_pearson(sums[1:2], effects[1:2], {}))


class Model:
    """A model of one weight per voxel, its patients, their twins, and the effects of taking units from these.

    Attributes
    ----------
    used : ndarray of bool, shape (x, y, z)
        Voxels that the model looks at; its input is masked.
    gain : float
        Of the margin's fall by interaction: where it is not 0 the model is not linear.
    """

    def __init__(self, seed, study, used=None, gain=0.0):
        random = np.random.default_rng(seed)
        self.weights = random.normal(size=SHAPE) * (1 if used is None else used)
        self.gain, self.study = gain, study
        self.scans = {scan: random.normal(size=SHAPE) * study.brain for scan in PATIENTS}
        towards = np.sign(self.weights) + random.normal(size=SHAPE)
        self.twins = {scan: (image - towards) * study.brain for scan, image in self.scans.items()}
        self.controls = {scan: (twin + random.normal(size=SHAPE)) * study.brain for scan, twin in self.twins.items()}

    def margin(self, image):
        """Return the model's output."""
        margin = np.sum(self.weights * image)
        return margin + self.gain * np.sign(margin) * margin**2

    def heatmap(self, scan):
        """Return gradient * (input - twin) of the linear model."""
        return (self.weights * (self.scans[scan] - self.twins[scan])).astype(np.float32)

    def effects(self, reference="twin"):
        """Return the rows of a table of effects, and of one of margins, by taking every unit in turn."""
        rows, margins = [], []
        for scan, image in self.scans.items():
            other = (self.twins if reference == "twin" else self.controls)[scan]
            margins.append((scan, reference, self.margin(image), self.margin(other)))
            for kind in ("regions", "cubes"):
                numbers, names = units_of(kind, self.study.template, "hemispheres", OPTIONS["cubes"])
                for number, name in enumerate(names, start=1):
                    first = self.margin(image) - self.margin(np.where(numbers == number, other, image))
                    last = self.margin(np.where(numbers == number, image, other)) - self.margin(other)
                    rows.append((scan, reference, kind, name, first, last, (first + last) / 2))
        columns = ["scan", "reference", "unit_kind", "unit", "effect_first", "effect_last", "effect"]
        return (
            pd.DataFrame(rows, columns=columns),
            pd.DataFrame(margins, columns=["scan", "reference", "margin", "margin_reference"]),
        )


def add_model(study, seed, model, references=("twin",), **heatmaps):
    """Write a model's predictions, heatmaps and effects."""
    study.add_model(seed, OUTCOMES, smooth={scan: model.heatmap(scan) for scan in PATIENTS}, **heatmaps)
    tables = [model.effects(reference) for reference in references]
    for end, parts in zip(("", "_margins"), zip(*tables, strict=True), strict=True):
        write_table(pd.concat(parts), study.root / f"attribute/effects/seed-{seed}{end}.tsv")


def by_seed(study):
    """Name what a command is given of every model."""
    effects = {"effects": "", "margins": "_margins"}
    files = {
        name: [study.root / f"attribute/effects/seed-{seed}{end}.tsv" for seed in study.seeds]
        for name, end in effects.items()
    }
    return files | {"predictions": [study.root / f"train/seed-{seed}/predictions.tsv" for seed in study.seeds]}


def finish(study):
    """Run the commands of the stage that have to do with effects; return its folder."""
    options, folder = study.options | OPTIONS, study.compare
    one = {"seeds": study.seeds, "template": study.template, "options": options} | by_seed(study)
    for method in study.methods:
        for seed in study.seeds:
            study.average(method, seed, **OPTIONS)
        study.run("measure_method", folder=folder, method=method, **one, out=folder / method / "measures.tsv")
    study.run("compare_effects", **one, measures=folder / "effects/measures.tsv", out=folder / "effects.tsv")
    given = {"task": task.PATIENTS._asdict(), "predictions": one["predictions"], "seeds": study.seeds}
    study.run("measure_accuracy", **given, out=folder / "accuracy.tsv")
    measures = [folder / method / "measures.tsv" for method in (*study.methods, "effects")]
    names = {"methods": study.methods, "judged": study.methods, "modelled": study.methods, "seeds": study.seeds}
    mask = study.template / "brain_mask.nii.gz"
    study.run(
        "write_tables",
        folder=folder,
        measures=measures,
        **names,
        mask=mask,
        options=options,
        effects=folder / "effects.tsv",
    )
    return folder


@pytest.fixture(scope="module")
def linear(tmp_path_factory, make_study):
    """A study of four linear models: the method smooth is exact, rough is unrelated to them; not to be changed."""
    study = make_study(tmp_path_factory.mktemp("linear"))
    models = {seed: Model(seed, study) for seed in SEEDS}
    for seed, model in models.items():
        add_model(study, seed, model, ("twin", "controls"))
    return study, models, finish(study)


def values_of(folder, name, check=""):
    """Return the values of a method, or of a check of it, with all participants: by measure and the two seeds."""
    rows = read_table(folder / name / "measures.tsv").query("left_out == 0 and check == @check and outcome == 'TP'")
    return rows.set_index(["measure", "seed_a", "seed_b"])["value"]


@pytest.mark.parametrize("measure", [*FAITHFUL, *SINGLE])
def test_gradient_times_input_less_twin_of_a_linear_model_is_at_every_ceiling(linear, measure):
    scores = read_table(linear[2] / "scores.tsv").set_index(["method", "check", "measure", "outcome"])
    assert scores.loc[("smooth", "", measure, "TP"), "value"] == pytest.approx(1, abs=1e-6)
    assert scores.loc[("smooth", "", measure, "TP"), "kind"] == "method"


@pytest.mark.parametrize("measure", [*FAITHFUL, *SINGLE])
def test_zero_is_within_the_interval_of_an_unrelated_map(linear, measure):
    scores = read_table(linear[2] / "scores.tsv").set_index(["method", "check", "measure", "outcome"])
    row = scores.loc[("rough", "", measure, "TP")]
    assert row["low"] < 0 < row["high"] and row["chance"] == 0
    assert row["value"] < 0.9


def test_maps_agree_as_far_as_the_effects_do_where_they_are_exact(linear):
    found, expected = values_of(linear[2], "smooth"), values_of(linear[2], "effects")
    assert len(expected) == 4 * 6
    for key in expected.index:
        assert found[key] == pytest.approx(expected[key], abs=1e-5)


def effects_of(model, kind, column="effect", reference="twin"):
    """Spread a model's effects: scans times units."""
    rows = model.effects(reference)[0].query("unit_kind == @kind")
    return rows.pivot(index="scan", columns="unit", values=column)


def test_values_are_those_of_plain_numpy_over_the_same_true_positives(linear):
    study, models, folder = linear
    numbers, names = units_of("cubes", study.template, "hemispheres", OPTIONS["cubes"])
    for seed in SEEDS:
        true = effects_of(models[seed], "cubes").loc[RECOGNISED]
        maps = np.stack([load_array(study.heatmap("rough", seed, scan), float) for scan in RECOGNISED])
        sums = np.stack([maps[:, numbers == 1 + names.index(name)].sum(axis=1) for name in true.columns], axis=1)
        found = values_of(folder, "rough").xs(seed, level="seed_a").xs(seed, level="seed_b")
        mean = sums.mean(axis=0)
        assert found["faithfulness_pearson_cubes"] == pytest.approx(pearsonr(mean, true.mean()).statistic, abs=1e-5)
        assert found["faithfulness_spearman_cubes"] == pytest.approx(spearmanr(mean, true.mean()).statistic, abs=1e-5)
        size = np.array([np.count_nonzero(numbers == 1 + names.index(name)) for name in true.columns])
        expected = pearsonr(mean / size, true.mean() / size).statistic
        assert found["faithfulness_pearson_cubes_density"] == pytest.approx(expected, abs=1e-5)
        single = [pearsonr(*pair).statistic for pair in zip(sums, true.to_numpy(), strict=True)]
        assert found["single_faithfulness_pearson_cubes"] == pytest.approx(np.mean(single), abs=1e-5)


def test_a_group_that_is_left_out_has_no_part(linear):
    study, models, folder = linear
    rows = read_table(folder / "rough/measures.tsv").query("seed_a == 9 and seed_b == 9")
    rows = rows.set_index(["measure", "left_out"])["value"]
    kept = [scan for number, scan in enumerate(RECOGNISED) if number % 3 != 1]  # of groups dealt in order of names
    maps = [load_array(study.heatmap("rough", 9, scan), float) for scan in kept]
    true = effects_of(models[9], "regions").loc[kept]
    numbers, names = units_of("regions", study.template, "hemispheres", OPTIONS["cubes"])
    sums = np.array([[volume[numbers == 1 + names.index(name)].sum() for name in true] for volume in maps])
    expected = pearsonr(sums.mean(axis=0), true.mean()).statistic
    assert rows["faithfulness_pearson_regions", 2] == pytest.approx(expected, abs=1e-5)
    single = [pearsonr(*pair).statistic for pair in zip(sums, true.to_numpy(), strict=True)]
    assert rows["single_faithfulness_pearson_regions", 2] == pytest.approx(np.mean(single), abs=1e-5)


def test_sums_over_units_are_signed_and_of_every_patient_and_of_the_mean_map(linear):
    study, _, folder = linear
    units = read_table(folder / "rough/seed-2/units.tsv")
    assert list(units) == ["scan", "unit_kind", "unit", "sum", "voxels"]
    assert list(dict.fromkeys(units["scan"])) == ["mean", *RECOGNISED, "sub-6"]
    stem = units.query("unit == 'Brain Stem'").set_index("scan")
    inside = study.labels == 9
    for scan in PATIENTS:
        assert stem.loc[scan, "sum"] == pytest.approx(load_array(study.heatmap("rough", 2, scan), float)[inside].sum())
    assert (stem["voxels"] == inside.sum()).all()
    assert stem.loc["mean", "sum"] == pytest.approx(stem.loc[RECOGNISED, "sum"].mean(), rel=1e-5)
    left_out = read_table(folder / "rough/seed-2/left_out/units.tsv").query("unit == 'Brain Stem'")
    assert left_out["left_out"].tolist() == [1, 2, 3] and set(left_out["scan"]) == {"mean"}


def test_effects_bound_themselves(linear):
    _, models, folder = linear
    true = {seed: effects_of(model, "cubes").loc[RECOGNISED] for seed, model in models.items()}
    assert values_of(folder, "effects", "last").dropna().to_numpy() == pytest.approx(1)
    other = values_of(folder, "effects", "other_model")["faithfulness_pearson_cubes"]
    assert list(other.index) == [(5, 2), (5, 9), (5, 4), (2, 9), (2, 4), (9, 4)]
    assert other[2, 9] == pytest.approx(pearsonr(true[2].mean(), true[9].mean()).statistic)
    halves = values_of(folder, "effects", "halves")
    pairs = [half for half in splits(RECOGNISED)]
    possible = [pearsonr(true[4].loc[a].mean(), true[4].loc[b].mean()).statistic for a, b in pairs]
    assert min(abs(np.array(possible) - halves["faithfulness_pearson_cubes", 4, 4])) < 1e-9
    assert not halves.index.get_level_values("measure").str.startswith("single").any()
    proxy = effects_of(models[5], "cubes", reference="controls").loc[RECOGNISED]
    controls = values_of(folder, "effects", "controls")
    assert controls["faithfulness_pearson_cubes", 5, 5] == pytest.approx(
        pearsonr(proxy.mean(), true[5].mean()).statistic
    )
    kinds = read_table(folder / "scores.tsv").query("method == 'effects'")
    assert set(kinds["kind"]) == {"bound"} and set(kinds["check"]) == {"", "last", "halves", "other_model", "controls"}


def splits(names):
    """List the ways to divide six names into halves."""
    halves = [[name for bit, name in enumerate(names) if number >> bit & 1] for number in range(64)]
    return [(half, [name for name in names if name not in half]) for half in halves if len(half) == 3]


def test_the_table_of_effects_has_gaps_and_sums(linear):
    _, models, folder = linear
    table = read_table(folder / "effects.tsv")
    assert len(table) == 4 * 2 * 2 and table["explained"].all() and set(table["n_scans"]) == {6}
    table = table.set_index(["seed", "reference", "unit_kind"])
    row, margins = table.loc[(9, "twin", "regions")], models[9].effects()[1].set_index("scan").loc[RECOGNISED]
    assert row["gap"] == pytest.approx((margins["margin"] - margins["margin_reference"]).mean())
    assert row["gap"] == pytest.approx(row["margin"] - row["margin_reference"])
    for column in ("sum_first", "sum_last", "sum_effect"):
        assert row[column] == pytest.approx(row["gap"])  # of a linear model whose units are the whole brain
    found = values_of(folder, "effects", "controls")["faithfulness_pearson_regions", 9, 9]
    assert row["pearson_controls"] == pytest.approx(found) and row["pearson_last"] == pytest.approx(1)
    assert np.isnan(table.loc[(9, "controls", "regions"), "pearson_halves"])


def test_first_and_last_differ_where_units_interact(study):
    for seed in SEEDS:
        add_model(study, seed, Model(seed, study, gain=0.05))
    folder = finish(study)
    row = read_table(folder / "effects.tsv").query("seed == 5 and unit_kind == 'cubes'").iloc[0]
    assert row["sum_first"] != pytest.approx(row["sum_last"], rel=0.01)
    assert 0.5 < values_of(folder, "effects", "last")["faithfulness_pearson_cubes"].min() < 0.9999


def test_a_model_that_looks_at_one_region_only_has_all_its_effect_there(study):
    """Three units, one of them with an effect: a map of it alone has 1, a map of another one alone -1/2, by hand."""
    stem, ventricle = study.labels == 9, study.labels == 30
    alone = {scan: ventricle.astype(np.float32) for scan in PATIENTS}
    for seed in SEEDS:
        add_model(study, seed, Model(seed, study, used=stem), rough=alone)
    folder = finish(study)
    effects = read_table(study.root / "attribute/effects/seed-2.tsv").query("unit_kind == 'regions'")
    assert not effects.query("unit != 'Brain Stem'")["effect"].any()
    for measure in [measure for measure in (*FAITHFUL, *SINGLE) if measure.endswith("regions")]:
        assert values_of(folder, "smooth")[measure].to_numpy() == pytest.approx(1)
        assert values_of(folder, "rough")[measure].to_numpy() == pytest.approx(-0.5)


def test_a_model_whose_margin_has_no_gap_has_no_value_and_a_note(study):
    models = {seed: Model(seed, study) for seed in SEEDS}
    random = np.random.default_rng(3)
    models[2].twins = {scan: random.normal(size=SHAPE) * study.brain for scan in PATIENTS}
    for seed, model in models.items():
        add_model(study, seed, model)
    folder = finish(study)
    assert read_table(folder / "effects.tsv").groupby("seed")["explained"].all().to_dict() == {
        2: False,
        4: True,
        5: True,
        9: True,
    }
    notes = read_table(folder / "notes.tsv")
    (note,) = notes[notes["reason"].str.startswith("no faithfulness to effects")].itertuples()
    assert note.seed == 2 and "does not exceed that of their healthy twins" in note.reason
    for name, measure in (("smooth", "faithfulness_pearson_cubes"), ("smooth", "single_faithfulness_spearman_regions")):
        empty = values_of(folder, name)[measure].isna()
        assert empty[empty].index.tolist() == [(2, 2)]
    for name in ("smooth", "effects"):
        empty = values_of(folder, name)["agreement_pearson_cubes"].isna()
        assert set(empty[empty].index) == {(5, 2), (2, 9), (2, 4)}
    scores = read_table(folder / "scores.tsv").set_index(["method", "check", "measure", "outcome"])
    assert scores.loc[("smooth", "", "faithfulness_pearson_cubes", "TP"), "value"] == pytest.approx(1, abs=1e-6)


def test_noise_has_the_mean_map_s_sums_alone(linear, tmp_path):
    study, _, folder = linear
    options, name = study.options | OPTIONS, folder / "rough.noise"
    for seed in SEEDS:
        maps = {"maps": folder / f"rough/seed-{seed}", "name": f"rough/{seed}", "out": name / f"seed-{seed}"}
        study.run("make_noise", **maps, template=study.template, options=options)
    one = {"folder": folder, "seeds": SEEDS, "template": study.template, "options": options} | by_seed(study)
    study.run("measure_method", method="rough.noise", **one, out=tmp_path / "measures.tsv")
    units = read_table(name / "seed-2/units.tsv")
    assert set(units["scan"]) == {"mean"}
    noise = load_array(name / "seed-2/mean_TP.nii.gz", float)
    assert units.set_index("unit").loc["Brain Stem", "sum"] == pytest.approx(noise[study.labels == 9].sum())
    measured = read_table(tmp_path / "measures.tsv")
    assert set(FAITHFUL) <= set(measured["measure"]) and not set(SINGLE) & set(measured["measure"])


def test_controls_are_taken_where_there_is_no_twin(study):
    models = {seed: Model(seed, study) for seed in SEEDS}
    for seed, model in models.items():
        add_model(study, seed, model, ("controls",))
    folder = finish(study)
    true = effects_of(models[4], "cubes", reference="controls").loc[RECOGNISED].mean()
    exact = effects_of(models[4], "cubes").loc[RECOGNISED].mean()
    found = values_of(folder, "smooth")["faithfulness_pearson_cubes", 4, 4]
    assert found == pytest.approx(pearsonr(exact, true).statistic, abs=1e-5) and found < 0.99
    assert "controls" not in set(read_table(folder / "effects/measures.tsv")["check"])


def test_a_t_map_is_held_against_effects_by_its_absolute_values(linear, tmp_path):
    study, _, folder = linear
    random, options = np.random.default_rng(5), study.options | OPTIONS
    np.save(tmp_path / "test.npy", random.random((8, *SHAPE)).astype(np.float16))
    people = pd.DataFrame({"participant_id": list("abcdefgh"), "label": ["patient"] * 4 + ["control"] * 4})
    write_table(people.assign(scan=people["participant_id"]), tmp_path / "test.tsv")
    made = {"scans": tmp_path / "test.npy", "template": study.template, "options": options}
    for seed in SEEDS:
        study.run("make_t_map", **made, out=folder / f"t_map_test/seed-{seed}")
    one = {"folder": folder, "method": "t_map_test", "seeds": SEEDS} | by_seed(study)
    study.run("measure_t_map", **made, **one, out=tmp_path / "measures.tsv")
    t_map = load_array(folder / "t_map_test/seed-9/mean_TP.nii.gz", float)
    stem = read_table(folder / "t_map_test/seed-9/units.tsv").set_index("unit").loc["Brain Stem"]
    assert stem["scan"] == "mean" and stem["sum"] == pytest.approx(np.abs(t_map[study.labels == 9]).sum())
    measured = set(read_table(tmp_path / "measures.tsv")["measure"])
    assert set(FAITHFUL) <= measured and not set(SINGLE) & measured and "agreement_pearson_cubes" not in measured


def test_a_study_without_patients_among_its_test_scans_has_empty_cells(study):
    for seed in SEEDS:
        model = Model(seed, study)
        model.scans = {}
        study.add_model(seed, {f"sub-{i}": "TN" if i else "FP" for i in range(4)})
        for end, table in zip(("", "_margins"), model.effects(), strict=True):
            write_table(table, study.root / f"attribute/effects/seed-{seed}{end}.tsv")
    scores = read_table(finish(study) / "scores.tsv")
    rows = scores[scores["measure"].str.contains("faithfulness")]
    assert set(rows["method"]) == {"smooth", "rough", "effects"} and rows["value"].isna().all()

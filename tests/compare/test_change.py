"""Localisation of the voxels that truly changed: patients less their healthy twins."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from heatproof.compare.localisation import changed_voxels
from heatproof.compare.make_change import mean_change
from heatproof.compare.measures import MAP_BY_CHANGE, measures_of
from heatproof.errors import StudyError
from heatproof.images import load_array, save_image
from heatproof.store import Store
from heatproof.tables import read_table

RNG = np.random.default_rng(0)
SCANS = pd.DataFrame({"scan": ["sub-1", "sub-2", "sub-3"], "label": ["patient", "control", "patient"]})


def scores_by_change(values, change, count):
    """Every measure by the change, by name."""
    changed = changed_voxels(change, count)
    return {key: measure.function(values, change, changed, {}) for key, measure in measures_of(MAP_BY_CHANGE).items()}


@pytest.fixture
def stores():
    """Three test scans and the twins of the two patients, in another order."""
    scans = Store(RNG.normal(size=(3, 1, 2, 3, 4)).astype(np.float16), SCANS)
    twins = Store(RNG.normal(size=(2, 1, 2, 3, 4)).astype(np.float16), SCANS.iloc[[2, 0]].reset_index(drop=True))
    return scans, twins


def test_the_change_is_the_mean_over_patients_of_the_scan_less_its_own_twin(stores):
    scans, twins = (store.images.astype(np.float32) for store in stores)
    expected = ((scans[0] - twins[1]) + (scans[2] - twins[0])) / 2
    np.testing.assert_allclose(mean_change(*stores), expected, rtol=1e-6)


def test_a_split_without_patients_is_refused(stores):
    scans, twins = stores
    with pytest.raises(StudyError, match="no test scan is of a patient"):
        mean_change(Store(scans.images[:1], SCANS.iloc[[1]]), twins)


def test_by_hand():
    change, values = np.array([0.5, -3.0, 0.0, 1.0]), np.array([-6.0, 3.0, 2.0, 1.0])
    scores = scores_by_change(values, change, 2)  # the second and the fourth voxel changed most
    assert scores["change_auc"] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert scores["change_rank"] == pytest.approx(spearmanr([6, 3, 2, 1], [0.5, 3, 0, 1]).statistic)


def test_the_change_itself_is_at_the_ceiling_and_noise_at_chance():
    change = RNG.normal(size=3000)
    assert scores_by_change(-2 * change, change, 300) == pytest.approx({"change_auc": 1, "change_rank": 1})
    noise = pd.DataFrame([scores_by_change(RNG.normal(size=3000), change, 300) for _ in range(40)]).mean()
    assert noise["change_auc"] == pytest.approx(0.1, rel=0.05)
    assert noise["change_rank"] == pytest.approx(0, abs=0.01)


def test_the_table_of_a_study(study):
    study.add_model(0, {"sub-1": "TP", "sub-2": "TN", "sub-3": "TP"})
    compare = study.finish()
    change = RNG.normal(size=study.brain.shape).astype(np.float32)
    table = measured(study, change)
    values = load_array(compare / "rough/seed-0/mean_TP.nii.gz")[study.brain]
    count = np.isin(study.labels, [4, 7]).sum()
    for name, value in scores_by_change(values, change[study.brain], count).items():
        assert table.loc[(name, 0), "value"] == pytest.approx(value)
    assert table.loc[("change_auc", 0), "chance"] == pytest.approx(count / study.brain.sum())


def measured(study, change):
    """``measures.tsv`` of a method that was measured with a change at hand."""
    save_image(change, np.diag([2.0, 2, 2, 1]), study.compare / "change.nii.gz")
    one = {"folder": study.compare, "method": "rough", "seeds": study.seeds, "template": study.template}
    one |= {"truth": study.truth, "change": study.compare / "change.nii.gz", "options": study.options}
    study.run("measure_method", **one, out=study.root / "measures.tsv")
    return read_table(study.root / "measures.tsv").set_index(["measure", "left_out"])

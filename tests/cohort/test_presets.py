"""The presets on datasets of the layout that Clinica's converters write, small and with empty images."""

from pathlib import Path

import pytest
import yaml

from heatproof.cohort.bids_files import FEWEST_BYTES
from heatproof.cohort.scans import list_scans


def preset(config: dict, name: str, folder: Path) -> dict:
    chosen = yaml.safe_load(Path(f"config/{name}.yaml").read_text())["cohort"]
    return config["cohort"] | chosen | {"bids": str(folder), "split": {"test": 1, "validation": 1, "seed": 0}}


def put(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(line.replace(" ", "\t") for line in lines) + "\n")


def put_scan(path: Path) -> None:
    put(path, ["0" * FEWEST_BYTES])


def put_scans(folder: Path, name: str, *sessions: str) -> None:
    for session in sessions:
        put_scan(folder / name / session / "anat" / f"{name}_{session}_T1w.nii.gz")


def test_adni_takes_every_labelled_visit_leaves_mci_out_and_counts_who_is_ever_ad_as_ad(config, tmp_path):
    people = {f"sub-ADNI{i:03d}S{i:04d}": ["AD", "AD"] for i in range(3)}
    people |= {f"sub-ADNI{i:03d}S{i:04d}": ["CN", "CN"] for i in range(3, 6)}
    people |= {"sub-ADNI100S0001": ["MCI", "AD"], "sub-ADNI100S0002": ["CN", "AD"], "sub-ADNI100S0003": ["CN", "n/a"]}
    put(tmp_path / "participants.tsv", ["participant_id sex age_bl site", *(f"{name} F 71.2 100" for name in people)])
    for name, (first, second) in people.items():
        rows = [f"ses-M000 71.2 {first} 0.0", f"ses-M006 71.7 {second} n/a", "ses-M120 81.2 n/a n/a"]
        put(tmp_path / name / f"{name}_sessions.tsv", ["session_id age diagnosis cdr_global", *rows])
        put_scans(tmp_path, name, "ses-M000", "ses-M006")
    labels = list_scans(preset(config, "adni", tmp_path), "unused").set_index("scan")["label"]
    assert "sub-ADNI100S0001_ses-M000" not in labels and labels["sub-ADNI100S0001_ses-M006"] == "patient"
    assert labels["sub-ADNI100S0002_ses-M000"] == "patient"
    assert "sub-ADNI100S0003_ses-M006" not in labels and labels["sub-ADNI100S0003_ses-M000"] == "control"
    assert len(labels) == 16


@pytest.mark.parametrize("session", ["ses-M000", "ses-M00"])
def test_oasis1_compares_ratings_of_people_of_sixty_and_more(config, tmp_path, session):
    rows = {f"sub-OASIS1{i:04d}": (60 + i, ["0.0", "0.5", "1.0"][i % 3]) for i in range(9)}
    rows |= {"sub-OASIS10100": (59, "0.5"), "sub-OASIS10101": (23, "n/a")}
    table = [f"{name} F 3.0 {age} {cdr} CN R" for name, (age, cdr) in rows.items()]
    put(
        tmp_path / "participants.tsv", ["participant_id sex education_level age_bl cdr diagnosis_bl laterality", *table]
    )
    for name in rows:
        put(tmp_path / name / f"{name}_sessions.tsv", ["session_id diagnosis", f"{session} CN"])
        put_scans(tmp_path, name, session)
    scans = list_scans(preset(config, "oasis1", tmp_path), "unused").set_index("participant_id")
    assert len(scans) == 9
    assert (scans["label"] == "patient").to_dict() == {name: float(rows[name][1]) > 0 for name in scans.index}


def test_ds002748_compares_depression_with_control(config, tmp_path):
    rows = [f"sub-{i:02d} 30 f {'depr' if i < 5 else 'control'}" for i in range(1, 10)]
    put(tmp_path / "participants.tsv", ["participant_id age gender group", *rows])
    for i in range(1, 10):
        put_scan(tmp_path / f"sub-{i:02d}/anat/sub-{i:02d}_T1w.nii.gz")
    scans = list_scans(preset(config, "ds002748", tmp_path), "unused")
    assert scans["label"].value_counts().to_dict() == {"control": 5, "patient": 4}

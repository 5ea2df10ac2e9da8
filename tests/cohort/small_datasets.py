"""Small datasets as people have them, of which single things may differ."""

from pathlib import Path

from heatproof.cohort.bids_files import FEWEST_BYTES

TABLE = "participant_id\tage\tgroup\nsub-01\t70\tAD\nsub-02\t64\tCN\nsub-03\t58\tCN\n"
SCAN = bytes(FEWEST_BYTES)
FILES = ["sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz", "sub-03/anat/sub-03_T1w.nii.gz"]
VISITS = "session_id\tdiagnosis\nses-1\t{}\nses-2\t{}\n"


def put(path: Path, content: str | bytes = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def dataset(folder: Path, table: str | bytes | None = TABLE, files: list[str] = FILES) -> str:
    """Write a dataset of three participants, of which single things may differ."""
    folder.mkdir(parents=True, exist_ok=True)
    if table is not None:
        put(folder / "participants.tsv", table)
    for file in files:
        put(folder / file, SCAN)
    return str(folder)


def with_visits(folder: Path, **diagnoses: tuple[str, str]) -> str:
    """Write a dataset with two sessions of each participant, and a diagnosis at each."""
    for name, values in diagnoses.items():
        put(folder / f"sub-{name}/sub-{name}_sessions.tsv", VISITS.format(*values))
        for session in ("ses-1", "ses-2"):
            put(folder / f"sub-{name}/{session}/anat/sub-{name}_{session}_T1w.nii.gz", SCAN)
    put(folder / "participants.tsv", "participant_id\n" + "".join(f"sub-{name}\n" for name in diagnoses))
    return str(folder)

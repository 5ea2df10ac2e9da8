"""A first look at data of one's own: config/first-look.yaml, laid over a config of one's own."""

from planning import make_adni

from heatproof.tables import read_table

PRESET = "config/first-look.yaml"
OWN = """\
study: mine
cohort:
  {{bids: {bids}, label: {label}, classes: {{control: CN, patient: AD}}, split: {{test: 9, validation: 9, seed: 0}}}}
train: {{seeds: [0, 1, 2, 3, 4, 5, 6, 7]}}
"""
TINY = (  # over the preset: as few people and voxels as there can be
    "cohort={split: {train: 2, test: 1}}",
    "register={voxel_size: 8.0}",
    "train={epochs: 1, device: cpu, network: {filters: [4, 8], pools: [2, 3], hidden: 8}}",
    "attribute={methods: {gradient_input: null}}",
)


def test_of_many_participants_it_takes_twenty_and_leaves_the_study_as_it_is(checkout):
    make_adni(checkout.folder / "adni", participants=80, patients=40, scans=200)
    own = OWN.format(bids="adni", label="diagnosis")
    (checkout.folder / "mine.yaml").write_text(own.replace("split:", "select: {session: first}, split:"))
    jobs = checkout.jobs("--configfile", "mine.yaml", PRESET)
    assert jobs["register_scan"] == 20 and jobs["fit_model"] == 2 and sum(jobs.values()) < 2 * 150
    assert checkout.jobs("--configfile", "mine.yaml")["register_scan"] == 80


def test_it_runs_from_a_bids_folder_to_the_page(tiny_study, checkout):
    own = OWN.format(bids=tiny_study.results / "cohort/bids", label="group")
    (checkout.folder / "mine.yaml").write_text(own)
    done = checkout.snakemake("--cores", "2", "--configfile", "mine.yaml", PRESET, "--config", *TINY)
    assert done.returncode == 0, done.stdout[-5000:]
    results = checkout.folder / "results/first-look"
    people = read_table(results / "cohort/scans.tsv").drop_duplicates("participant_id")
    assert people.groupby(["label", "split"]).size().to_dict() == {
        (label, split): n
        for label in ("control", "patient")
        for split, n in [("test", 1), ("train", 2), ("validation", 1)]
    }
    assert "Which heatmaps can be believed?" in (results / "report/report.html").read_text()
    assert not (checkout.folder / "results/mine").exists()

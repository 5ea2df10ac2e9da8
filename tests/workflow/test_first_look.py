"""A first look at data of one's own: config/first-look.yaml, laid over a config of one's own."""

from planning import make_adni

PRESET = "config/first-look.yaml"
OWN = """\
study: mine
cohort:
  {{bids: {bids}, label: {label}, classes: {{control: CN, patient: AD}}, split: {{test: 9, validation: 9, seed: 0}}}}
train: {{seeds: [0, 1, 2, 3, 4, 5, 6, 7]}}
"""


def test_of_many_participants_it_takes_twenty_and_leaves_the_study_as_it_is(checkout):
    make_adni(checkout.folder / "adni", participants=80, patients=40, scans=200)
    own = OWN.format(bids="adni", label="diagnosis")
    (checkout.folder / "mine.yaml").write_text(own.replace("split:", "select: {session: first}, split:"))
    jobs = checkout.jobs("--configfile", "mine.yaml", PRESET)
    assert jobs["register_scan"] == 20 and jobs["fit_model"] == 2 and sum(jobs.values()) < 2 * 150
    assert checkout.jobs("--configfile", "mine.yaml")["register_scan"] == 80

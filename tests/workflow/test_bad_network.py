"""A network or method that cannot be gone on with is told before any scan is registered, also with --keep-going."""

SMALLER = ["--configfile", "tests/workflow/tiny.yaml", "tests/workflow/smaller.yaml"]
CAM = "{method: grad_cam, layer: 9, target: patient, output: logit, sign: signed}"
MISTAKES = ["--config", f"attribute={{methods: {{cam: {CAM}}}}}"]


def started(checkout, rule):
    return sorted((checkout.folder / "results/tiny/logs" / rule).glob("*"))


def test_an_impossible_method_is_told_before_any_registration_and_costs_nothing_once_corrected(checkout):
    wanted = ["--cores", "2", "results/tiny/register/qc.tsv", "results/tiny/attribute/possible.tsv"]
    done = checkout.snakemake(*SMALLER, *MISTAKES, "--keep-going", *wanted)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert "attribute.methods.cam: grad_cam has no layer 9" in done.stdout.split("What went wrong:\n")[1]
    assert not started(checkout, "register_scan")

    done = checkout.snakemake(*SMALLER, *wanted)
    assert done.returncode == 0 and len(started(checkout, "register_scan")) == 9

    done = checkout.snakemake(*SMALLER, *MISTAKES, *wanted)
    assert done.returncode == 1
    for mistakes in (MISTAKES, []):
        assert checkout.jobs(*SMALLER, *mistakes, *wanted) == {"check_network": 1, "total": 1}


def test_training_waits_for_a_new_network_to_be_tried(copied_study):
    network = "train={network: {function: 'heatproof.train.network:create_network', options: {}}}"
    done = copied_study.tiny("--cores", "2", "--keep-going", "--until", "fit_model", "--config", network)
    assert done.returncode == 1 and "is too small for train.network" in done.stdout
    models = [path.stat().st_mtime for path in copied_study.results.glob("train/seed-*/model.safetensors")]
    log = copied_study.results / "logs/check_network.log"
    assert len(models) == 2 and max(models) < log.stat().st_mtime

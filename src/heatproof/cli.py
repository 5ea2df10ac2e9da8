"""The command ``heatproof``: runs the installed workflow in the current folder, explains a scan, compares maps."""

import argparse
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, files
from itertools import combinations
from pathlib import Path

import yaml

from heatproof.errors import StudyError

USAGE = """\
heatproof run [options of snakemake]

Runs a study in the current folder: heatproof run --cores all is the demo, heatproof run --cores all --configfile
my-study.yaml a study of yours, heatproof run -n what would run and cost. Results come into results/. The workflow's
files are linked into the folder: Snakefile, config, envs, profiles, src, workflow.

heatproof explain MODEL SCAN --method NAME --out MAP     one scan by one method
heatproof compare MAP MAP [MAP ...]                      every two maps by every measure of a pair

Each says more with --help."""
ON_ONE_GRID = 1e-3  # mm, by which affines may differ
PARTS = ("Snakefile", "config", "envs", "profiles", "workflow")


def workflow_folder() -> Path:
    """Return the folder of the Snakefile: that of the installed package, or the checkout's.

    Raises
    ------
    StudyError
        If neither has one.
    """
    try:
        installed = [Path(str(file.locate())) for file in files("heatproof") or [] if file.name == "Snakefile"]
    except PackageNotFoundError:
        installed = []
    for snakefile in [*installed, Path(__file__).parents[2] / "Snakefile"]:
        if snakefile.is_file():
            return snakefile.resolve().parent
    raise StudyError("the workflow is not installed with heatproof; install its wheel, or run snakemake in a checkout")


def link_workflow(folder: Path) -> None:
    """Link the workflow's parts into a folder in which they are not yet; links to another version are replaced.

    Raises
    ------
    StudyError
        If the folder has something of its own by the name of a part.
    """
    source = workflow_folder()
    if folder.resolve() == source:
        return
    package = Path(__file__).resolve().parent
    (folder / "src").mkdir(exist_ok=True)
    targets = {part: source / part for part in PARTS} | {"src/heatproof": package}
    for part, target in targets.items():
        link = folder / part
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            raise StudyError(f"{link} is there already and is not heatproof's; run heatproof in another folder")
        link.symlink_to(target)


def run(words: list[str]) -> int:
    """Run a study in the current folder, with options of Snakemake."""
    link_workflow(Path.cwd())
    return subprocess.call([sys.executable, "-m", "snakemake", *words])


def explain(words: list[str]) -> None:
    """Write the map of one scan by one method, as `heatproof.explain` makes it, and say what was explained."""
    parser = argparse.ArgumentParser(prog="heatproof explain", description=explain.__doc__)
    parser.add_argument(
        "model", help="a study's model.safetensors, or one of a MAPS of ClinicaDL; or weights, with --network"
    )
    parser.add_argument("scan", help="NIfTI file, preprocessed as the model was trained")
    parser.add_argument("--method", required=True, help="as attribute.methods.*.method of a config")
    parser.add_argument("--network", type=yaml.safe_load, help="of weights, as train.network: '{function: my:build}'")
    parser.add_argument(
        "--options",
        type=yaml.safe_load,
        default={},
        help="of the method, and target, output and sign, as in attribute: '{rule: epsilon, target: 0, output: logit}'",
    )
    parser.add_argument("--out", required=True, help="NIfTI file to write")
    given = parser.parse_args(words)
    import heatproof  # torch, which the other commands do without
    from heatproof.images import load_image, save_image
    from heatproof.interface import outputs

    sys.path.insert(0, str(Path.cwd()))  # where the function of a network may lie
    model = heatproof.load_model(given.model, given.network, load_image(given.scan).shape[:3])
    heatmap = heatproof.explain(model, given.scan, method=given.method, **given.options)
    save_image(heatmap.get_fdata(), heatmap.affine, given.out)
    chosen, values = {"target": "patient", "output": "margin"} | given.options, outputs(model, given.scan)[0]
    of = {"patient": "class 1", "predicted": "the predicted class"}.get(chosen["target"], f"class {chosen['target']}")
    told = ", ".join(f"{value:.4g}" for value in values)
    print(f"{given.out} explains the {chosen['output']} of {of} by {given.method}; the model's outputs: {told}")


def compare(words: list[str]) -> None:
    """Print how alike every two maps are in the brain, by every measure of a pair of maps; they lie on one grid."""
    parser = argparse.ArgumentParser(prog="heatproof compare", description=compare.__doc__)
    parser.add_argument("maps", nargs="+", help="two NIfTI files or more")
    parser.add_argument("--brain", help="NIfTI file that is above 0 in the brain; else where any of the maps is not 0")
    given = parser.parse_args(words)
    if len(given.maps) < 2:
        parser.error("name two maps or more")
    from heatproof.compare.measures import PAIRS_OF_MAPS
    from heatproof.images import load_array, load_image
    from heatproof.interface import OF_ARRAYS, measure

    first, *others = [*given.maps, *filter(None, [given.brain])]
    wanted = load_image(first)
    for path in others:
        image = load_image(path)
        if image.shape != wanted.shape or abs(image.affine - wanted.affine).max() > ON_ONE_GRID:
            raise StudyError(f"{path} and {first} are not on one grid (shape and affine); resample one of them")
    arrays = {path: load_array(path) for path in given.maps}
    brain = load_array(given.brain) > 0 if given.brain else sum(abs(array) for array in arrays.values()) > 0
    names = [key.partition("_{")[0] for key, entry in OF_ARRAYS.items() if entry.of == PAIRS_OF_MAPS]
    print("map_a", "map_b", *names, sep="\t")
    for one, other in combinations(arrays, 2):
        values = [measure(name, arrays[one], arrays[other], brain=brain) for name in names]
        print(one, other, *(f"{value:.4g}" for value in values), sep="\t")


COMMANDS = {"run": run, "explain": explain, "compare": compare}


def main() -> None:
    if not sys.argv[1:] or sys.argv[1] not in COMMANDS:
        print(USAGE)
        sys.exit(sys.argv[1:] not in ([], ["-h"], ["--help"]))
    try:
        sys.exit(COMMANDS[sys.argv[1]](sys.argv[2:]))
    except StudyError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

"""The command ``heatproof``: runs the workflow that is installed with the package in the current folder."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from heatproof.errors import StudyError

USAGE = """\
heatproof run [options of snakemake]

Runs a study in the current folder: heatproof run --cores all is the demo, heatproof run --cores all --configfile
my-study.yaml a study of yours, heatproof run -n what would run and cost. Results come into results/. The workflow's
files are linked into the folder: Snakefile, config, envs, profiles, src, workflow."""
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


def main() -> None:
    if sys.argv[1:2] != ["run"]:
        print(USAGE)
        sys.exit(sys.argv[1:] not in ([], ["-h"], ["--help"]))
    try:
        link_workflow(Path.cwd())
    except StudyError as error:
        sys.exit(f"error: {error}")
    sys.exit(subprocess.call([sys.executable, "-m", "snakemake", *sys.argv[2:]]))


if __name__ == "__main__":
    main()

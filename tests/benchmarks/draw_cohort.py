"""Draw the demo's simulated cohort for docs/: an example of each group, the group difference, and the truth.

Run by ``make bench`` after ``make demo``; writes docs/images/cohort.png and what docs/simulated-cohort.md says of the
task, and copies Figure 2 to docs/images/methods.png.
"""

import argparse
import re
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import pandas as pd
from claims import tell
from nilearn import plotting

from heatproof.images import load_array, load_image
from heatproof.report.figures import percent
from heatproof.store import open_store
from heatproof.tables import read_table

POINT = (26, -20, -16)
PAGE = Path("docs/simulated-cohort.md")
TASK = """The task is small: of the {voxels} voxels of the brain, {above[0]} differ by more than half a standard
deviation between the groups, {above[1]} by more than one, {above[2]} by more than two, the most by {most}.
[[accuracy.ideal < 1]] It is not too easy, since mild patients and controls share severities: whoever knew every scan's
true severity, and drew the limit where it parts the training scans best, would have a balanced accuracy of {ideal} on
the {scans} test scans. The demo's {models} networks, which see the scans alone, have {mean} on average, {least} to
{highest}; scans of all four outcomes are there for {errors} of them."""


def effect_size(patients: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Return Cohen's d of two groups of scans (n, x, y, z), voxel by voxel; 0 where nothing varies."""
    variance = ((len(patients) - 1) * patients.var(0, ddof=1) + (len(controls) - 1) * controls.var(0, ddof=1)) / (
        len(patients) + len(controls) - 2
    )
    difference = patients.mean(0) - controls.mean(0)
    return np.divide(difference, np.sqrt(variance), out=np.zeros_like(difference), where=variance > 0)


def typical(folder: Path, label: str) -> tuple[str, float]:
    """Name the training scan of a group whose severity is the group's median, and its severity."""
    truth = read_table(folder / "cohort/ground_truth/scans.tsv").merge(read_table(folder / "cohort/scans.tsv"))
    group = truth[(truth["label"] == label) & (truth["split"] == "train")].sort_values("severity")
    row = group.iloc[len(group) // 2]
    return row["scan"], row["severity"]


def draw_cohort(folder: Path, out: Path) -> np.ndarray:
    """Draw the four rows of slices, and return the size of the groups' difference in each voxel of the brain."""
    store = open_store(folder / "train/store/train.npy")
    images, patient = np.asarray(store.images[:, 0], np.float32), store.targets == 1
    mask = load_array(folder / "register/template/brain_mask.nii.gz") > 0
    affine = load_image(folder / "register/template/brain_mask.nii.gz").affine
    effect = effect_size(images[patient], images[~patient]) * mask
    names = list(store.scans["scan"])

    figure, axes = plt.subplots(4, 1, figsize=(8, 11), facecolor="white")
    for axis, label in zip(axes, ("control", "patient"), strict=False):
        scan, severity = typical(folder, label)
        image = nib.Nifti1Image(images[names.index(scan)], affine)
        plotting.plot_anat(image, cut_coords=POINT, axes=axis, draw_cross=False, black_bg=False, vmin=0, vmax=1)
        axis.set_title(f"{label}, {scan}, true severity {severity:.2f}", loc="left", fontsize=10)
    truth = load_image(folder / "cohort/ground_truth/log_jacobian.nii.gz")
    template = load_image(folder / "register/template/T1w.nii.gz")
    pictures = [
        (nib.Nifti1Image(effect, affine), "patients less controls, training scans, Cohen's d", 2.0),
        (truth, "truth: logarithm of the volume ratio at severity 1", 0.9),
    ]
    for axis, (image, title, limit) in zip(axes[2:], pictures, strict=True):
        plotting.plot_stat_map(
            image,
            bg_img=template,
            cut_coords=POINT,
            axes=axis,
            draw_cross=False,
            black_bg=False,
            cmap="RdBu_r",
            vmax=limit,
            threshold=0.1 * limit,
        )
        axis.set_title(title, loc="left", fontsize=10)
    figure.savefig(out, dpi=110, bbox_inches="tight", metadata={"Software": None})
    return np.abs(effect[mask])


def balanced(scans: pd.DataFrame, limit: float) -> float:
    """Return the balanced accuracy of calling those patients whose true severity reaches a limit."""
    reached = scans["severity"] >= limit
    return float(
        np.mean([reached[scans["label"] == "patient"].mean(), 1 - reached[scans["label"] == "control"].mean()])
    )


def ideal_accuracy(folder: Path) -> float:
    """Return the balanced accuracy on the test scans of the limit that parts the training scans best."""
    truth = read_table(folder / "cohort/ground_truth/scans.tsv").merge(read_table(folder / "cohort/scans.tsv"))
    train, test = (truth[truth["split"] == split] for split in ("train", "test"))
    limits = (train["severity"].sort_values() + train["severity"].sort_values().shift()).dropna() / 2
    return balanced(test, max(limits, key=lambda limit: balanced(train, limit)))


def describe_task(size: np.ndarray, accuracy: pd.DataFrame, ideal: float) -> str:
    """Say how hard the task is: the size of d in each voxel, what severities allow, and each model's accuracy."""
    outcomes, right = accuracy[["n_TP", "n_TN", "n_FP", "n_FN"]], accuracy["balanced_accuracy"]
    return tell(
        TASK,
        {"accuracy.ideal": ideal},
        voxels=f"{len(size):,}",
        above=[percent(np.mean(size > d), 0) for d in (0.5, 1.0, 2.0)],
        most=f"{size.max():.1f}",
        ideal=percent(ideal, 0),
        models=len(accuracy),
        scans=outcomes.loc[0].astype(int).sum(),
        mean=percent(right.mean(), 0),
        least=percent(right.min(), 0),
        highest=percent(right.max(), 0),
        errors=(outcomes > 0).all(axis=1).sum(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results/demo"))
    parser.add_argument("--out-dir", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    size = draw_cohort(arguments.results, arguments.out_dir / "cohort.png")
    task = describe_task(
        size, read_table(arguments.results / "compare/accuracy.tsv"), ideal_accuracy(arguments.results)
    )
    PAGE.write_text(re.sub(r"The task is .*?(?=\n\n)", lambda _: task.rstrip(), PAGE.read_text(), flags=re.DOTALL))
    shutil.copy(arguments.results / "report/figure-2-methods.png", arguments.out_dir / "methods.png")


if __name__ == "__main__":
    main()

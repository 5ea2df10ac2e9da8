"""Write docs/gpu.md from the tables that ``tests/gpu/check.sh OUT`` left in a folder."""

import argparse
from pathlib import Path

import pandas as pd

SECTIONS = (
    "environment",
    "training",
    "epoch",
    "methods",
    "gradients",
    "writing",
    "occlusion",
    "answers",
    "bytes",
    "bfloat16",
)
SCANS, EPOCHS, MODELS, BATCH = 600, 40, 10, 4  # of the paper's preset; early stopping decides about the epochs


def goals(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Compare what was measured with what was aimed at; a goal whose table is absent has no row."""
    rows = []

    def add(goal: str, found: float, aim: float, *, least: bool = False) -> None:
        met = found >= aim if least else found <= aim
        rows.append({"goal": f"{goal}, at {'least' if least else 'most'} {aim:g}", "measured": found, "met": met})

    if "epoch" in tables:
        epoch = tables["epoch"]
        for batch, group in epoch[epoch["store"] == "card"].groupby("batch"):
            add(f"an epoch as the stage runs it, by its steps alone, batches of {batch}", group["ratio"].max(), 1.5)
        hours = MODELS * SCANS * EPOCHS / epoch.loc[epoch["batch"] == BATCH, "as the stage, scans/s"].max() / 3600
        add(f"hours for {MODELS} models, {SCANS} scans, {EPOCHS} epochs (extrapolated)", hours, 1)
    if {"training", "environment"} <= tables.keys():
        copy = tables["environment"].set_index("what")["value"]["copy, TB/s read and written"]
        share = tables["training"]["traffic per second, TB/s"].max() / float(copy)
        add("share of the card's bandwidth that the best step's traffic takes", share, 0.4, least=True)
    if "methods" in tables:
        for row in tables["methods"].itertuples():
            add(f"{row.method}, scans a second", row[2], 5, least=True)
    if "writing" in tables:
        add("maps written a second", tables["writing"]["maps/s"].max(), 2, least=True)
    if "occlusion" in tables:
        add("occlusion voxel by voxel, seconds a brain", tables["occlusion"]["whole brain, s"].min(), 15)
        faster = tables["occlusion"]["times faster"].max()
        add("occlusion voxel by voxel, times faster a position than captum", faster, 1000, least=True)
    return pd.DataFrame(rows)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, help="the folder")
    parser.add_argument("--out", type=Path, default=Path("docs/gpu.md"))
    arguments = parser.parse_args()
    found = {name: arguments.tables / f"{name}.tsv" for name in SECTIONS}
    tables = {name: pd.read_table(path) for name, path in found.items() if path.exists()}
    texts = {name: table.to_markdown(index=False, floatfmt=".3g") for name, table in tables.items()}
    page = (Path(__file__).parent / "page.md").read_text()
    page = page.format_map(dict.fromkeys(SECTIONS, "Not measured.") | texts | {"goals": as_text(goals(tables))})
    arguments.out.write_text(page)


def as_text(table: pd.DataFrame) -> str:
    """Write a table as Markdown, yes and no for what is met."""
    return table.assign(met=table["met"].map({True: "yes", False: "no"})).to_markdown(index=False, floatfmt=".3g")


if __name__ == "__main__":
    main()

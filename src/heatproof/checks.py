"""What bounds the numbers of every method: sanity checks, and maps that are made without a model."""

MAP_CHECKS = ("noise", "t_map")  # sanity checks that are made of maps or scans, and have no model
T_MAP_SPLITS = {"t_map": "train", "t_map_test": "test"}  # the t-maps, and the scans that each is made of
FLOORS = ("noise", "random_head", "initial_head", "untrained")  # sanity checks that a method has to exceed
BASELINES = ("edges", "input")  # methods that do not look at the model

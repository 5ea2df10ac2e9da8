"""What a network cannot have, as it is read by those who leave it out."""

import pandas as pd
import pytest

from heatproof.possible import as_text, is_left_out, leave_out, read_possible
from heatproof.tables import write_table

ROWS = [
    "network\tSequential\tyes\t4 layers",
    "check\tcascade\tno\tthe network has 4 layers",
    "check\trandom_head\tyes\t",
    "method\tlrp\tno\tit has gates",
    "method\tinput\tyes\t",
    "convergence\tinput\tno\tseveral heads",
]


@pytest.fixture
def possible(tmp_path):
    (tmp_path / "possible.tsv").write_text("\n".join(["what\tname\tpossible\tnote", *ROWS]))
    return read_possible(tmp_path / "possible.tsv")


def test_the_reason_is_that_of_the_table_and_a_cascade_s_is_that_of_each_part(possible):
    assert possible.why_not("method", "lrp") == "it has gates" and not possible.why_not("method", "input")
    assert possible.why_not("convergence", "input") == "several heads"
    assert possible.why_not("check", "random_top_2_of_6") == "the network has 4 layers"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lrp", "it has gates"),
        ("lrp.random_head", "it has gates"),
        ("input", ""),
        ("input.random_head", ""),
        ("input.random_top_1_of_6", "the network has 4 layers"),
        ("t_map", ""),
        ("input.noise", ""),
    ],
)
def test_maps_are_there_where_the_method_and_its_check_are_possible(possible, name, reason):
    assert possible.why_no_maps(name) == reason and possible.somewhere(name) == (not reason)


def test_all_is_possible_where_nothing_was_tried(tmp_path):
    assert read_possible(None).somewhere("lrp.random_head")
    assert read_possible(tmp_path / "possible.tsv").somewhere("lrp.random_head")


def test_what_was_tried_with_other_options_says_nothing_of_these(tmp_path):
    tried = pd.DataFrame({"what": ["method"], "name": "lrp", "possible": "no", "note": "it has gates"})
    write_table(tried.assign(options=as_text({"method": "lrp", "rule": "z_plus"})), tmp_path / "possible.tsv")
    possible = read_possible(tmp_path / "possible.tsv")
    assert possible.why_no_maps("lrp", options={"rule": "z_plus", "method": "lrp"}) == "it has gates"
    assert possible.why_no_maps("lrp", options={"rule": "epsilon", "method": "lrp"}) == ""


def test_a_folder_says_whether_it_was_left_out(tmp_path):
    assert not is_left_out(tmp_path)
    leave_out(tmp_path / "seed-0", "it has gates")
    assert is_left_out(tmp_path / "seed-0")
    assert (tmp_path / "seed-0/not_possible.txt").read_text() == "it has gates\n"

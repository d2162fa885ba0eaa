"""The profile `attentions`: it keeps up with the catalogue, and the baseline of its ratios is in it."""

from aabench.cases.catalogue import ATTENTIONS
from aabench.cases.profile import find_profile


def test_every_form_of_the_package_is_swept():
    ours = [entry.name for entry in ATTENTIONS if entry.target.startswith("aabench.layers.")]
    assert find_profile("attentions").axes["attention"] == ours
    assert ours[0] == "materialized"

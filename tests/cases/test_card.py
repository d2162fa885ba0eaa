"""Cards: the built-in ones are whole, one's own are found, and bad files say what is wrong."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cases import card as cards
from aabench.cases.card import Card, known_cards, parse_architecture
from aabench.errors import UsageError

NAMES = (
    "p100-16gb",
    "v100-16gb",
    "v100-32gb",
    "t4-16gb",
    "rtx3090-24gb",
    "rtx4060ti-16gb",
    "rtx4080-16gb",
    "rtx4090-24gb",
    "rtx5080-16gb",
    "rtx5090-32gb",
    "a10-24gb",
    "l4-24gb",
    "a100-40gb",
    "a100-80gb",
    "h100-80gb",
    "h200-141gb",
    "b200-180gb",
)

WHOLE = """
name = "A card"
compute_capability = "8.9"
memory = "12GiB"
bandwidth_bytes_per_s = 5e11
[rates_flops_per_s]
fp32 = 2e13
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    return tmp_path / "configuration" / "aabench" / "gpus"


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_card_gives_a_source_for_every_figure(name):
    card = Card.of(name)
    figures = {
        "compute_capability",
        "memory",
        "usable",
        "bandwidth_bytes_per_s",
        "rates_flops_per_s",
    }
    assert figures <= set(card.sources)
    assert card.newest_torch is None or "newest_torch" in card.sources
    assert card.devices and card.ceilings() is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_card_has_no_doubled_datasheet_figures(name):
    """Half-precision products take twice what TF32 ones take, on tensor cores of every generation."""
    rates = Card.of(name).rates_flops_per_s
    if "bf16" in rates:
        assert rates["bf16"] == rates["fp16"] == pytest.approx(2 * rates["tf32"], rel=0.05)
    else:
        assert Card.of(name).capability < (8, 0) and "tf32" not in rates
    assert rates["fp32"] < 1.1e14
    assert rates["fp16"] <= 40 * rates["fp32"]


@pytest.mark.parametrize("name", NAMES)
def test_usable_memory_is_a_little_less_than_the_advertised(name):
    card, advertised = Card.of(name), int(name.rsplit("-", 1)[1].removesuffix("gb"))
    assert 0.90 * advertised < card.usable_bytes / 2**30 <= advertised
    assert card.usable_bytes <= card.memory_bytes


def test_exactly_these_cards_are_built_in():
    assert sorted(card.key for card in known_cards()) == sorted(NAMES)


def test_cards_before_turing_end_with_torch_2_14():
    assert Card.of("v100-16gb").torch_problem("2.14.1+cu126") is None
    problem = Card.of("p100-16gb").torch_problem("2.15.0+cu132")
    assert problem and "sm60" in problem and "2.14" in problem
    assert Card.of("t4-16gb").torch_problem("2.15.0") is None


def test_a_card_is_found_by_the_name_torch_gives_it():
    found = Card.of_device("NVIDIA H100 80GB HBM3")
    assert found is not None and found.key == "h100-80gb"
    assert Card.of_device("NVIDIA Nothing") is None


def test_an_unknown_card_offers_the_known_ones():
    with pytest.raises(UsageError, match="unknown card; got 'rtx4090'.*did you mean rtx4090-24gb"):
        Card.of("rtx4090")
    with pytest.raises(UsageError, match="no such card file"):
        Card.of("./nowhere.toml")


def test_a_file_makes_a_card_by_path_or_in_ones_own_folder(tmp_path, own_folder):
    assert Card.of(written(tmp_path, WHOLE)).memory_bytes == 12 * 2**30
    own_folder.mkdir(parents=True)
    (own_folder / "lab-12gb.toml").write_text(WHOLE)
    (own_folder / "t4-16gb.toml").write_text(WHOLE)
    assert Card.of("lab-12gb").usable_bytes == 12 * 2**30 - cards.SMALL_CARD_RESERVE_BYTES
    assert Card.of("t4-16gb").name == "A card"
    assert len(known_cards()) == len(NAMES) + 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('memory = "12GiB"', "", "memory is missing"),
        ('memory = "12GiB"', 'memory = "12"', "memory: a size without a unit"),
        ('memory = "12GiB"', 'memory = "12TB"\nusable = "13TB"', "usable must be"),
        ('memory = "12GiB"', 'memory = "1kB"', "memory is impossible"),
        ('memory = "12GiB"', "memory = 12", "memory must be text"),
        ("5e11", "-5e11", "bandwidth_bytes_per_s is impossible"),
        ("5e11", "nan", "bandwidth_bytes_per_s is impossible"),
        ("5e11", "true", "must be a number"),
        ("fp32 = 2e13", "fp16 = 2e13", "fp32 is missing"),
        ("fp32 = 2e13", "fp32 = 2e13\nfp8 = 1e14", "unknown format"),
        ('"8.9"', '"89"', "not an architecture"),
        ('name = "A card"', 'nmae = "A card"', "unknown key.*did you mean name"),
        ('name = "A card"', 'name = "A card', "broken TOML: .*line 2"),
        ('name = "A card"', 'name = "A"\nnewest_torch = "new"', "newest_torch is no release"),
        ('name = "A card"', 'name = "A"\nlaunch_s = 5', "launch_s is impossible"),
        ('name = "A card"', 'name = "A"\ndevices = "B"', "devices must be a list"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path, old, new, message):
    assert old in WHOLE
    with pytest.raises(UsageError, match=f"(?=.*mine.toml).*{message}"):
        Card.of(written(tmp_path, WHOLE.replace(old, new)))


def test_an_unlisted_card_has_bytes_and_no_times():
    card = Card.unlisted("12GiB", "sm89")
    assert card.capability == (8, 9) and card.ceilings() is None
    assert 11.4 < card.usable_bytes / 2**30 < 12
    with pytest.raises(UsageError, match="--vram"):
        Card.unlisted("100MiB", "sm89")
    with pytest.raises(UsageError, match="--arch: not an architecture"):
        Card.unlisted("12GiB", "ada")
    with pytest.raises(UsageError, match="--arch: no such architecture"):
        Card.unlisted("12GiB", "sm12")


@given(st.integers(5, 19), st.integers(0, 9))
@settings(deadline=None, max_examples=30)
def test_architectures_are_read_in_all_their_spellings(major, minor):
    for text in (f"sm{major}{minor}", f"SM_{major}{minor}", f"{major}.{minor}"):
        assert parse_architecture(text, "--arch") == (major, minor)


def test_listing_cards_loads_nothing_heavy():
    code = (
        "import sys; from typer.testing import CliRunner as R; from aabench.cli.main import app\n"
        "done = R().invoke(app, ['list', 'gpus']); assert done.exit_code == 0\n"
        "assert 'h200-141gb' in done.stdout\n"
        "assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

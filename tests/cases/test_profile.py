"""Profiles: the built-in ones are sound, and a broken file says what is broken."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aabench.cases.grid import Grid
from aabench.cases.profile import Profile, builtin_profiles, find_profile, read_profile
from aabench.errors import UsageError
from aabench.runs.request import Request


def write(folder, text):
    path = folder / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", [profile.name for profile in builtin_profiles()])
def test_built_in_profiles_make_requests(name):
    profile = find_profile(name)
    assert profile.description
    request = Request.of(name, {}, {})
    assert request.name == name
    assert any(entry.problem is None for entry in request.grid.entries())


def test_flags_override_axes_and_their_rivals():
    profile = Profile("p", axes={"kappa": 0.1, "dv": 8, "heads": 4})
    assert profile.overridden({"dk": "16", "heads": None}) == {"dv": 8, "heads": 4, "dk": "16"}
    assert profile.overridden({"upsilon": 0.5}) == {"kappa": 0.1, "heads": 4, "upsilon": 0.5}


def test_a_profile_of_ones_own(tmp_path):
    path = write(tmp_path, 'description = "x"\n[axes]\nheads = "2^1:2^3"\n[settings]\nrounds = 1\n')
    request = Request.of(str(path), {"batch": "4"}, {})
    assert request.grid.axes["heads"] == (2, 4, 8)
    assert request.grid.axes["batch"] == (4,)
    assert request.settings.rounds == 1


@pytest.mark.parametrize(
    ("text", "clue"),
    [
        ("[axes]\nheds = 4\n", "did you mean heads"),
        ("[axs]\nheads = 4\n", "did you mean axes"),
        ("[axes]\nheads = { a = 1 }\n", "wrong type"),
        ("axes = 3\n", "write [axes]"),
        ("description = 3\n", "description must be text"),
        ("[axes\nheads = 4\n", "line 1"),
        ("[axes]\nheads = 4\nheads = 5\n", "line 3"),
        ("[axes]\nheads = [2, \n", "broken TOML"),
    ],
)
def test_broken_files_say_what_is_broken(tmp_path, text, clue):
    with pytest.raises(UsageError) as caught:
        read_profile(write(tmp_path, text))
    assert clue in str(caught.value)
    assert "mine.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("settings_text", "clue"),
    [
        ("rouns = 1", "did you mean rounds"),
        ('rounds = "two"', "--rounds is out of range"),
        ("rounds = 0", "1 to 100"),
        ("timeout = nan", "--timeout is out of range"),
        ("seconds_per_case = -1", "--seconds-per-case is out of range"),
        ('device = "gpu"', "unknown device"),
        ("isolate = 3", "--isolate is a switch"),
        ('min_key_depth_per_head = "x"', "min-key-depth-per-head"),
    ],
)
def test_bad_settings_are_refused(tmp_path, settings_text, clue):
    path = write(tmp_path, f"[settings]\n{settings_text}\n")
    with pytest.raises(UsageError) as caught:
        Request.of(str(path), {}, {})
    assert clue in str(caught.value)


def test_too_large_a_file_is_not_read(tmp_path):
    path = write(tmp_path, "#" * (2 << 20))
    with pytest.raises(UsageError, match="too large for a profile"):
        read_profile(path)


def test_binary_and_missing_files(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_profile(path)
    with pytest.raises(UsageError, match="no such profile file"):
        find_profile(str(tmp_path / "none.toml"))
    with pytest.raises(UsageError, match="did you mean quick"):
        find_profile("quik")


def test_deep_nesting_is_an_error_not_a_crash(tmp_path):
    with pytest.raises(UsageError):
        read_profile(write(tmp_path, "[axes]\nheads = " + "[" * 50_000))


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=200)
def test_any_text_is_a_profile_or_a_usage_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("profile") / "mine.toml"
    path.write_text(text, encoding="utf-8")
    try:
        profile = read_profile(path)
        Grid.of(profile.axes)
    except UsageError as error:
        assert str(error)

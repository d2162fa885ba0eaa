"""``aabench doctor`` as a person types it: on this machine, and where torch or the folder is broken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AABENCH = [sys.executable, "-m", "aabench"]


def doctor(*words, cwd, modules=None):
    variables = dict(os.environ)
    if modules is not None:
        variables["PYTHONPATH"] = os.pathsep.join([str(modules), *filter(None, sys.path)])
    return subprocess.run(
        [*AABENCH, "doctor", *words],
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
        timeout=240,
    )


def said_by_us(errors: str) -> list[str]:
    """Our own lines on standard error; what libraries warn of there is not ours to promise."""
    ours = ("aabench", "Traceback")
    return [line for line in errors.splitlines() if line.startswith(ours)]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    done = doctor("--format", "json", cwd=tmp_path_factory.mktemp("here"))
    assert done.returncode == 0, done.stderr
    assert said_by_us(done.stderr) == []
    return json.loads(done.stdout)


def test_json_holds_the_findings_and_what_they_were_made_from(told):
    assert told["schema"] == 1
    assert told["can_measure"] is True
    for finding in told["findings"]:
        assert set(finding) == {"area", "level", "text", "remedy"}
        assert finding["remedy"] or finding["level"] in ("ok", "note")
    areas = [finding["area"] for finding in told["findings"]]
    assert areas == sorted(areas, key=list(dict.fromkeys(areas)).index)
    assert told["seen"]["answers"]["environment"]["facts"]["torch"]


def test_this_machine_can_use_its_cpu(told):
    texts = [finding["text"] for finding in told["findings"] if finding["level"] == "ok"]
    assert any(text.startswith("cpu: ") and "cores usable" in text for text in texts)
    assert any("flash (no mask" in text for text in texts)


@pytest.fixture
def broken_torch(tmp_path):
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "torch.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    return folder


def test_a_torch_that_crashes_is_a_finding_and_no_traceback(tmp_path, broken_torch):
    done = doctor(cwd=tmp_path, modules=broken_torch)
    assert done.returncode == 3
    assert said_by_us(done.stderr) == []
    flat = " ".join(done.stdout.split())
    assert "blocks torch cannot be imported: it was ended by signal 11" in flat
    assert "This machine cannot measure: 1 finding blocks it" in flat
    assert "\x1b" not in done.stdout


def test_a_folder_that_cannot_be_written_blocks(tmp_path, broken_torch):
    (tmp_path / "file").write_text("")
    done = doctor("--out", "file", "--format", "json", cwd=tmp_path, modules=broken_torch)
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert told["can_measure"] is False
    blocking = [item["text"] for item in told["findings"] if item["level"] == "blocks"]
    assert any("the folder file cannot be written" in text for text in blocking)


def test_nothing_is_left_behind(tmp_path, broken_torch):
    here = tmp_path / "here"
    here.mkdir()
    doctor(cwd=here, modules=broken_torch)
    assert list(here.iterdir()) == []


def test_files_of_the_user_do_not_stand_in_for_pythons_own(tmp_path):
    (tmp_path / "signal.py").write_text("raise RuntimeError('the wrong one')")
    script = Path(sys.executable).with_name("aabench")
    if not script.exists():
        pytest.skip("the script aabench is not installed beside this Python")
    done = subprocess.run(
        [script, "doctor"], cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout
    assert "the wrong one" not in done.stdout


def test_help_shows_an_example():
    done = doctor("--help", cwd=Path.cwd())
    assert done.returncode == 0
    assert "aabench doctor --thorough" in done.stdout

"""Available memory from kernel files that the tests write."""

import psutil
import pytest

from aabench.measuring.available_memory import available_bytes, limit_bytes, total_bytes

MiB = 2**20
UNLIMITED_1 = 9223372036854771712


@pytest.fixture
def machine(tmp_path):
    """Writes kernel files below a root; starts with 1000 MiB, 800 of them available."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(text) + "\n")
        return tmp_path

    write(proc__meminfo="MemTotal: 1024000 kB\nMemFree: 1 kB\nMemAvailable: 819200 kB")
    return write


def group(root, place, **files):
    folder = root / place
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_dot_", ".")).write_text(f"{text}\n")


def test_without_groups_it_is_what_the_kernel_says(machine):
    root = machine()
    assert available_bytes(root) == 800 * MiB
    assert total_bytes(root) == 1000 * MiB
    assert limit_bytes(root) is None


def test_version_2_limit_minus_use(machine):
    root = machine(proc__self__cgroup="0::/user/job")
    group(root, "sys/fs/cgroup/user/job", memory_dot_max=300 * MiB, memory_dot_current=100 * MiB)
    assert available_bytes(root) == 200 * MiB
    assert limit_bytes(root) == 300 * MiB


def test_the_tightest_group_above_counts(machine):
    root = machine(proc__self__cgroup="0::/user/job")
    group(root, "sys/fs/cgroup/user/job", memory_dot_max="max", memory_dot_current=MiB)
    group(root, "sys/fs/cgroup/user", memory_dot_max=500 * MiB, memory_dot_current=450 * MiB)
    assert available_bytes(root) == 50 * MiB


def test_the_machine_can_be_tighter_than_the_group(machine):
    root = machine(proc__self__cgroup="0::/job")
    group(root, "sys/fs/cgroup/job", memory_dot_max=5000 * MiB, memory_dot_current=0)
    assert available_bytes(root) == 800 * MiB


def test_page_cache_that_would_be_dropped_is_not_use(machine):
    root = machine(proc__self__cgroup="0::/job")
    group(
        root,
        "sys/fs/cgroup/job",
        memory_dot_max=300 * MiB,
        memory_dot_current=280 * MiB,
        memory_dot_stat=f"anon {MiB}\ninactive_file {80 * MiB}\nactive_file 5",
    )
    assert available_bytes(root) == 100 * MiB


def test_version_1(machine):
    root = machine(proc__self__cgroup="5:cpu:/other\n4:hugetlb,memory:/docker/abc\n0::/")
    group(
        root,
        "sys/fs/cgroup/memory/docker/abc",
        memory_dot_limit_in_bytes=400 * MiB,
        memory_dot_usage_in_bytes=150 * MiB,
        memory_dot_stat=f"inactive_file 1\ntotal_inactive_file {50 * MiB}",
    )
    group(
        root,
        "sys/fs/cgroup/memory",
        memory_dot_limit_in_bytes=UNLIMITED_1,
        memory_dot_usage_in_bytes=MiB,
    )
    assert available_bytes(root) == 300 * MiB
    assert limit_bytes(root) == 400 * MiB


def test_version_1_without_limit(machine):
    root = machine(proc__self__cgroup="4:memory:/docker/abc")
    place = "sys/fs/cgroup/memory/docker/abc"
    group(root, place, memory_dot_limit_in_bytes=UNLIMITED_1, memory_dot_usage_in_bytes=MiB)
    assert available_bytes(root) == 800 * MiB
    assert limit_bytes(root) is None


def test_both_versions_at_once(machine):
    root = machine(proc__self__cgroup="4:memory:/\n0::/job")
    group(root, "sys/fs/cgroup/unified/job", memory_dot_max=64 * MiB, memory_dot_current=0)
    assert available_bytes(root) == 64 * MiB


def test_a_container_that_sees_only_its_own_group(machine):
    root = machine(proc__self__cgroup="0::/kubepods/pod1/abc")
    group(root, "sys/fs/cgroup", memory_dot_max=128 * MiB, memory_dot_current=28 * MiB)
    assert available_bytes(root) == 100 * MiB


def test_more_used_than_allowed_is_nothing_left(machine):
    root = machine(proc__self__cgroup="0::/job")
    group(root, "sys/fs/cgroup/job", memory_dot_max=MiB, memory_dot_current=2 * MiB)
    assert available_bytes(root) == 0


@pytest.mark.parametrize("text", ["", "nonsense", "-5", "1.5", "12 34", "\x00"])
def test_damaged_group_files_are_no_limit(machine, text):
    root = machine(proc__self__cgroup="0::/job\nnonsense\n::")
    group(root, "sys/fs/cgroup/job", memory_dot_max=text, memory_dot_current=text)
    assert available_bytes(root) == 800 * MiB


def test_without_kernel_files_psutil_answers(tmp_path):
    assert 0 < available_bytes(tmp_path) <= psutil.virtual_memory().total
    assert total_bytes(tmp_path) == psutil.virtual_memory().total


def test_this_machine():
    assert 0 < available_bytes() <= total_bytes()

"""One owner at a time, and none left behind by a process that was killed."""

import signal
import subprocess
import sys

import pytest

from nnunetv2_sizepenalty.ablation.lock import held, holder

OWN = "import sys, time, pathlib; from nnunetv2_sizepenalty.ablation.lock import held\n"
PARENT = OWN + (
    "import subprocess\n"
    "with held(pathlib.Path(sys.argv[1])) as lock:\n"
    "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], pass_fds=[lock])\n"
    "    print(child.pid, flush=True)\n"
    "    time.sleep(60)\n"
)


def test_the_second_gets_none_until_the_first_is_done(tmp_path):
    path = tmp_path / "folder" / ".lock"
    assert holder(path) is None
    with held(path) as first:
        assert first is not None
        assert holder(path).startswith("pid ")
        with held(path) as second:
            assert second is None
    assert holder(path) is None
    with held(path) as again:
        assert again is not None


def test_looking_takes_the_lock_from_nobody(tmp_path):
    path = tmp_path / ".lock"
    with held(path):
        pass
    looking = subprocess.Popen(
        [sys.executable, "-c", "import sys, pathlib; from nnunetv2_sizepenalty.ablation.lock import holder\n"
         "print(flush=True)\nwhile True: holder(pathlib.Path(sys.argv[1]))", path],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        looking.stdout.readline()
        for _ in range(20):
            with held(path) as lock:
                assert lock is not None
    finally:
        looking.kill()
        looking.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="no flock on Windows")
def test_a_killed_owner_leaves_it_free_unless_its_child_lives(tmp_path):
    import os

    path = tmp_path / ".lock"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, path], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert f"pid {parent.pid}" in holder(path)
    parent.kill()
    parent.wait()
    assert f"pid {parent.pid}" in holder(path)
    os.kill(child, signal.SIGKILL)
    while os.path.exists(f"/proc/{child}") and holder(path):  # noqa: PTH110
        pass
    assert holder(path) is None

"""A real Slurm of one node on loopback, in a folder of its own; its daemons are started and stopped here."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "srun")
# Debian's daemons are not on every user's PATH
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])

# A requeued job waits for cred_expire (5 s at the least) before it starts again; the scheduler looks often.
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
KillWait=5
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=100000
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs of slurm-wlm and munge that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


def _free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def running_cluster(folder: Path, cpus: int) -> Iterator[dict[str, str]]:
    """Yields the environment in which Slurm's commands reach the cluster; all of it is gone afterwards.

    Args:
        folder: with a short path, for the sake of munge's socket.
        cpus: of the node, whatever the machine has.
    """
    host = socket.gethostname().split(".")[0]
    user = os.environ.get("USER") or ("root" if os.geteuid() == 0 else os.getlogin())
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(folder=folder, host=host, ports=_free_ports(2), user=user, cpus=cpus).lstrip()
    )
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(configuration)}
    options = {f"--{name}={folder}/munge.{end}" for name, end in (("key-file", "key"), ("socket", "socket"))}
    options |= {f"--{name}-file={folder}/munged.{name}" for name in ("pid", "log", "seed")}
    commands = (
        ["munged", "--foreground", "--force", *options],
        ["slurmctld", "-D", "-c", "-f", str(configuration)],
        ["slurmd", "-D", "-f", str(configuration), "-N", host],
    )
    daemons: list[subprocess.Popen] = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("w") as output:
                program = shutil.which(command[0], path=PATH)
                daemons.append(
                    subprocess.Popen([program, *command[1:]], env=environment, stdout=output, stderr=subprocess.STDOUT)
                )
            if command[0] == "munged":
                _wait(lambda: (folder / "munge.socket").exists(), daemons, folder)
        _wait(lambda: "idle" in _sinfo(environment), daemons, folder)
        yield environment
    finally:
        subprocess.run(["scancel", "-u", user, "--signal=KILL"], env=environment, capture_output=True)
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _sinfo(environment: dict[str, str]) -> str:
    return subprocess.run(["sinfo", "-h", "-o", "%t"], env=environment, capture_output=True, text=True).stdout


def _wait(ready, daemons: list[subprocess.Popen], folder: Path) -> None:
    until = time.monotonic() + 60
    while not ready():
        ended = any(daemon.poll() is not None for daemon in daemons)
        if ended or time.monotonic() > until:
            logs = "\n".join(f"{path.name}:\n{path.read_text()[-2000:]}" for path in sorted(folder.glob("*.out")))
            logs += "\n".join(path.read_text()[-2000:] for path in folder.glob("slurm*.log"))
            raise RuntimeError(f"Slurm doesn't start:\n{logs}")
        time.sleep(0.2)

"""A real Slurm of one node, without systemd and containers, with two GPUs that are none."""

import os
import socket
import subprocess
import time
from contextlib import contextmanager

from debian import needs_program
from servers import free_port

_CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000 Gres=gpu:2 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm(folder):
    """The environment of commands such as sbatch, while the cluster runs."""
    needs_program("slurmctld")
    needs_program("munged")
    host = socket.gethostname().split(".")[0]
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(parents=True)
    for parent in (
        folder,
        *folder.parents,
    ):  # munged runs as another user, and asks who may write here
        if parent.stat().st_uid == os.getuid() and str(parent) != "/tmp":
            parent.chmod((parent.stat().st_mode | 0o055) & ~0o022)
    ports = {"controller": free_port(), "node": free_port()}
    conf = folder / "slurm.conf"
    conf.write_text(_CONF.format(host=host, folder=folder, **ports))
    (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File=/dev/tty[0-1]\n")
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    subprocess.run(["chown", "-R", "munge:munge", folder / "munge"], check=True)
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    munge = folder / "munge"
    started = [
        subprocess.Popen(
            ["munged", "-F", "-S", munge / "socket",
             f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed",
             "--key-file=/etc/munge/munge.key"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user="munge", group="munge", extra_groups=[],
        )
    ]  # fmt: skip
    try:
        _wait(lambda: (munge / "socket").exists(), "munged", folder)
        for command in (["slurmctld", "-f", conf, "-D"], ["slurmd", "-f", conf, "-D", "-N", host]):
            with open(folder / f"{command[0]}.out", "wb") as out:
                started.append(subprocess.Popen(command, stdout=out, stderr=out, env=environment))
        _wait(lambda: b"idle" in _states(environment), "slurmd", folder)
        yield environment
    finally:
        subprocess.run(["scancel", "--user=root"], env=environment, check=False, timeout=20)
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _states(environment):
    return subprocess.run(
        ["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, check=False, timeout=20
    ).stdout


def _wait(condition, what, folder):
    for _ in range(150):
        if condition():
            return
        time.sleep(0.2)
    logs = "\n".join(p.read_text(errors="replace")[-2000:] for p in folder.glob("*.out"))
    raise AssertionError(f"{what} did not start\n{logs}")

"""A real Slurm of one node with two GPU devices, on loopback, for as long as a test runs.

Everything it writes lies in one temporary folder, but for a link to its configuration where Slurm
looks for one: Snakemake starts a job's step without SLURM_CONF. So a machine with a Slurm of its
own is refused.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
USUAL_CONFIGURATION = Path("/etc/slurm/slurm.conf")
GPU_DEVICES = ("/dev/null", "/dev/zero")

CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={home}/completed
Prolog={home}/prolog
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
KillWait=20
MinJobAge=86400
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=localhost CPUs=4 RealMemory=16000 Gres=gpu:a100:{gpus}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE
"""

# slurmctld forgets which device a job had once the job ends, so slurmd notes it at the start.
PROLOG = """#!/bin/sh
echo "$SLURM_JOB_ID $SLURM_JOB_GPUS" >> {home}/devices
"""


class Unavailable(Exception):
    """No Slurm can be started here; the message says why."""


@dataclass(frozen=True)
class Job:
    """What Slurm wrote down of one finished job."""

    id: str
    rule: str
    state: str
    start: datetime
    end: datetime
    memory: str
    gpus: str  # asked for, as Slurm spells it; empty for none
    devices: tuple[str, ...]
    folder: Path  # where it was submitted

    def overlaps(self, other: "Job") -> bool:
        """Whether both ran at once."""
        return self.start < other.end and other.start < self.end


def require() -> None:
    """Install what is missing.

    Raises:
        Unavailable: the programs are not there and cannot be installed.
    """
    if os.geteuid() != 0:
        raise Unavailable("slurmd and munged start jobs as other users, which needs root")
    if USUAL_CONFIGURATION.exists():
        raise Unavailable(f"{USUAL_CONFIGURATION}: this machine has a Slurm of its own")
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Unavailable(f"{', '.join(missing)} not found, and no apt-get to install them")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES]
    for command in (["apt-get", "update"], install):
        result = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise Unavailable(f"{' '.join(command)} failed: {result.stderr.strip()[-300:]}")


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> object:
    """The first true value of `condition()`.

    Raises:
        TimeoutError: none within `seconds`; names `what`.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise TimeoutError(f"{what}: not within {seconds:g} s")


class Cluster:
    """slurmctld, slurmd and munged in a folder of their own."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="slurm-test-"))
        self.home.chmod(0o755)
        self.configuration = self.home / "slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": str(self.configuration)}

    def start(self) -> None:
        """Start all three daemons.

        Raises:
            Unavailable: the node does not come up; holds the ends of the logs.
        """
        self._configure()
        try:
            # It refuses folders that others may write to, such as /tmp, unless forced.
            names = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
            files = [f"--{key}={self.home}/munge.{name}" for key, name in names.items()]
            self.run("munged", "--force", f"--key-file={self.home}/munge.key", *files)
            self.start_slurmctld()
            self.start_slurmd()
        except (subprocess.CalledProcessError, TimeoutError) as error:
            said = [f"{log.name}: {log.read_text()[-500:]}" for log in self.home.glob("*.log")]
            self.stop()
            raise Unavailable(f"{error}\n" + "\n".join(said)) from error

    def stop(self) -> None:
        """End every job, then the daemons; removes the folder."""
        if (self.home / "slurmd.pid").exists():
            subprocess.run(
                ["scancel", "--signal=KILL", "--full", "--state=RUNNING"],
                env=self.environment,
                capture_output=True,
                check=False,
            )
        for name in ("slurmd", "slurmctld", "munge"):
            self._end(name)
        USUAL_CONFIGURATION.unlink(missing_ok=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def start_slurmctld(self) -> None:
        """Start the scheduler's daemon, with the jobs that it knew."""
        self.run("slurmctld")

    def stop_slurmctld(self) -> None:
        """Stop the scheduler's daemon; jobs go on, and no command is answered."""
        self._end("slurmctld")

    def start_slurmd(self) -> None:
        """Start the node's daemon and wait until it takes jobs."""
        self.run("slurmd", "-N", "localhost")
        ready = ("idle", "mix", "alloc")
        wait_for(lambda: self.run("sinfo", "-h", "-o", "%T").startswith(ready), "node ready")

    def stop_slurmd(self) -> None:
        """Stop the node's daemon; its jobs go on."""
        self._end("slurmd")

    def run(self, *command: str) -> str:
        """Output of a command that talks to this Slurm."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    def running(self, rule: str) -> str | None:
        """Id of a running job of `rule`."""
        for line in self.run("squeue", "-h", "-t", "RUNNING", "-o", "%i %k").splitlines():
            number, comment = line.split(maxsplit=1)
            if rule_of(comment) == rule:
                return number
        return None

    def jobs(self) -> list[Job]:
        """All that has finished, from the completion log, in order of submission."""
        log = self.home / "completed"
        lines = log.read_text().splitlines() if log.exists() else []
        return sorted(map(self._job, lines), key=lambda job: int(job.id))

    def _job(self, line: str) -> Job:
        fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
        shown = self.run("scontrol", "--oneliner", "show", "job", fields["JobId"])
        comment = re.search(r" Comment=(\S*)", shown)
        gpus = re.search(r" TresPerJob=gres:gpu:(\S+)", shown)
        devices = dict(
            row.split(" ", 1) for row in (self.home / "devices").read_text().splitlines()
        )
        return Job(
            id=fields["JobId"],
            rule=rule_of(comment[1] if comment else ""),
            state=fields["JobState"],
            start=datetime.fromisoformat(fields["StartTime"]),
            end=datetime.fromisoformat(fields["EndTime"]),
            memory=re.search(r"mem=([^,]+)", fields["Tres"])[1],
            gpus=gpus[1] if gpus else "",
            devices=tuple(filter(None, devices.get(fields["JobId"], "").split(","))),
            folder=Path(fields["WorkDir"]),
        )

    def _configure(self) -> None:
        for name in ("state", "spool"):
            (self.home / name).mkdir()
        key = self.home / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        prolog = self.home / "prolog"
        prolog.write_text(PROLOG.format(home=self.home))
        prolog.chmod(0o755)
        (self.home / "devices").touch()
        files = ",".join(GPU_DEVICES)
        gres = f"NodeName=localhost Name=gpu Type=a100 File={files}\n"
        (self.home / "gres.conf").write_text(gres)
        values = {"home": self.home, "ports": free_ports(2), "gpus": len(GPU_DEVICES)}
        self.configuration.write_text(CONFIGURATION.format(**values))
        USUAL_CONFIGURATION.parent.mkdir(exist_ok=True)
        # One that leads nowhere is what a killed test left.
        USUAL_CONFIGURATION.unlink(missing_ok=True)
        USUAL_CONFIGURATION.symlink_to(self.configuration)

    def _end(self, name: str) -> None:
        file = self.home / f"{name}.pid"
        if not file.exists():
            return
        process = Path("/proc") / file.read_text().strip()
        with suppress(ProcessLookupError):
            os.kill(int(process.name), signal.SIGTERM)
        wait_for(lambda: not process.exists(), f"end of {name}")
        file.unlink(missing_ok=True)


def rule_of(comment: str) -> str:
    """The rule in the comment that Snakemake gives its jobs."""
    return comment.split("_wildcards_")[0].removeprefix("rule_")


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()

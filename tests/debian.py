"""Programs that some tests need beyond Python and g++, the Debian packages that have them, and how to get these.

    make servers    # installs the packages that are missing, as root (python3 tests/debian.py)

A test that needs one calls ``needs_program``: without the program it is skipped and names the package.
``FASTJAG_EXPECT_SERVERS=1``, which .ci/run sets after ``make servers``, makes a failure of that.
"""

import os
import shutil
import subprocess
import sys

#: Program, to its Debian package. Daemons stand in folders that only root's PATH has.
PACKAGES = {
    "chromium": "chromium",  # opens reports and pages of documentation: tests/browser.py
    "xrootd": "xrootd-server",  # serves root:// and http://
    "slurmctld": "slurm-wlm",  # takes jobs; brings slurmd, sbatch and squeue, too
    "munged": "munge",  # tells Slurm who asks
}
FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")


def find(program):
    """The path of a program, or None."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *FOLDERS])
    return shutil.which(program, path=path)


def needs_program(program):
    """The path of a program of ``PACKAGES``; without it the test is skipped, or fails where it is expected."""
    import pytest

    package = PACKAGES[program]
    path = find(program)
    if path is None and os.environ.get("FASTJAG_EXPECT_SERVERS") == "1":
        pytest.fail(
            f"FASTJAG_EXPECT_SERVERS is 1, but there is no {program}: Debian package {package}"
        )
    if path is None:
        pytest.skip(f"needs {program}: Debian package {package} (make servers installs it)")
    return path


def missing_packages():
    """Packages of programs that are not here."""
    return sorted({package for program, package in PACKAGES.items() if find(program) is None})


def install():
    """Installs what is missing. Ends with a message where that cannot be done."""
    missing = missing_packages()
    if not missing:
        return
    if os.geteuid() != 0 or find("apt-get") is None:
        what = "only root can install" if find("apt-get") else "there is no apt-get, which installs"
        raise SystemExit(
            f"servers for tests: {what} the missing Debian packages: {' '.join(missing)}"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    get = ("apt-get", "-qq", "-o", "Dpkg::Use-Pty=0")
    subprocess.run([*get, "update"], check=True, env=environment)
    command = [*get, "install", "-y", "--no-install-recommends", *missing]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    if left := missing_packages():
        raise SystemExit(
            f"servers for tests: installed, but their programs are not found: {' '.join(left)}"
        )


if __name__ == "__main__":
    sys.exit(install())

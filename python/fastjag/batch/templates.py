"""What to send to a batch system: a share of a job for each task."""

#: {folder}, {tasks}, {last}, {python}.
SLURM = """\
#!/bin/bash
# sbatch {folder}/slurm.sh; the same again does what is missing
#SBATCH --job-name=fastjag
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=02:00:00
#SBATCH --output={folder}/log-%A-%a.txt
# A GPU for each task: remove one # of the next line.
##SBATCH --gpus=1
export FASTJAG_NUM_THREADS=${{SLURM_CPUS_PER_TASK:-1}}
exec {python} -m fastjag batch work {folder} --task "$SLURM_ARRAY_TASK_ID" --of {tasks}
"""

CONDOR = """\
# condor_submit {folder}/condor.sub; the same again does what is missing
executable = {python}
arguments = -m fastjag batch work {folder} --task $(Process) --of {tasks}
environment = "FASTJAG_NUM_THREADS=1"
getenv = true
request_cpus = 1
request_memory = 4GB
# A GPU for each task: remove the # of the next line.
# request_gpus = 1
output = {folder}/log-$(Cluster)-$(Process).txt
error = {folder}/log-$(Cluster)-$(Process).txt
log = {folder}/condor.log
queue {tasks}
"""

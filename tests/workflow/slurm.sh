#!/usr/bin/env bash
# A Slurm cluster on one Debian machine: slurm.sh start, slurm.sh stop. Needs root; does nothing that is already done.
# The partitions cpu and gpu share its one node; two device files stand in for GPUs.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
MARK="# written by heatproof/tests/workflow/slurm.sh"

install_packages() {
    command -v slurmctld slurmd munged sbatch > /dev/null && return
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq --no-install-recommends slurm-wlm munge
}

write_settings() {
    if [ -e /etc/slurm/slurm.conf ] && ! grep -qxF "$MARK" /etc/slurm/slurm.conf; then
        echo "/etc/slurm/slurm.conf is not ours: this machine has a Slurm of its own" >&2
        exit 1
    fi
    local memory
    memory=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
    # Memory is requested and watched: OverMemoryKill ends a job that takes more than it asked for.
    cat > /etc/slurm/slurm.conf <<EOF
$MARK
ClusterName=heatproof
SlurmctldHost=$(hostname -s)(127.0.0.1)
AuthType=auth/munge
SlurmUser=slurm
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000
MinJobAge=3600
ReturnToService=2
GresTypes=gpu
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL MaxTime=INFINITE State=UP
EOF
    printf "Name=gpu File=%s\n" /dev/null /dev/zero > /etc/slurm/gres.conf
}

pid_file() { case $1 in munged) echo /run/munge/munged.pid ;; *) echo "/run/$1.pid" ;; esac; }
running() { pgrep --pidfile "$(pid_file "$1")" --exact "$1" > /dev/null 2>&1; }

start() {
    install_packages
    write_settings
    install -d -o munge -g munge /run/munge /var/log/munge
    running munged || setpriv --reuid munge --regid munge --clear-groups munged
    running slurmctld || slurmctld -c
    running slurmd || slurmd -c
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --format=%t --partition=gpu 2> /dev/null)" = idle ] && return
        sleep 0.5
    done
    echo "the node did not come up: see /var/log/slurm" >&2
    exit 1
}

stop() {
    for daemon in slurmd slurmctld munged; do
        running "$daemon" && pkill --pidfile "$(pid_file "$daemon")" --exact "$daemon"
        while running "$daemon"; do sleep 0.2; done
    done
}

"$1"

#!/usr/bin/env bash
# An ablation on a real SLURM of one machine: submitted as an array, one job killed in mid-training and queued
# again, another cancelled by requeue; the results must be those of the same ablation without SLURM, bit by bit.
#
#   apt-get install slurm-wlm munge    (as root; the daemons run as root here, for this test alone)
#   tests/slurm/run.sh target/debug/experiments
set -euo pipefail
program="$(realpath "$1")"
work="$(mktemp -d)"
host="$(hostname -s)"
cores="$(nproc)"

# The controller saves its state while it ends, so its folder is removed only when the daemons are gone.
stop() {
  local name pid
  for name in slurmd slurmctld munged; do
    pid="$(cat "$work/$name.pid" 2>/dev/null)" || continue
    kill "$pid" 2>/dev/null || continue
    for _ in $(seq 300); do
      kill -0 "$pid" 2>/dev/null || continue 2
      sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap stop EXIT

mkdir -p "$work"/{state,spool,munge}
chmod 755 "$work"
dd if=/dev/urandom of="$work/munge/key" bs=1024 count=1 status=none
chmod 400 "$work/munge/key"
chmod 711 "$work/munge"
munged --force --key-file="$work/munge/key" --socket="$work/munge/socket" --pid-file="$work/munged.pid" \
  --log-file="$work/munge/log" --seed-file="$work/munge/seed"

cat > "$work/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CryptoType=crypto/munge
SlurmctldPort=16817
SlurmdPort=16818
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
SchedulerParameters=sched_interval=1
JobRequeue=1
MinJobAge=600
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF="$work/slurm.conf"
slurmctld
slurmd -N "$host"
for _ in $(seq 60); do
  sinfo --noheader --format=%t 2>/dev/null | grep -q idle && break
  sleep 1
done
sinfo || { cat "$work/slurmctld.log" "$work/slurmd.log"; exit 1; }

cd "$work"
settings=(lrn --seeds 2 --epochs 6)
echo "== without SLURM"
"$program" ablation "${settings[@]}" --out "$work/here" --plain 2>/dev/null | sed -n '5,9p'

echo "== submitted"
# Every job waits after 700 steps, in its third epoch, while this file is there.
touch "$work/hold"
ALEXNET_BURN_HOOK="hold=700,$work/hold" "$program" submit slurm "${settings[@]}" --out "$work/there"
log() { cat "$work/there/ablations/lrn-mini/logs/task-$1.log" 2>/dev/null; }
# With one core there is one job at a time, and it is both killed and queued again.
second=$(( cores > 1 ? 1 : 0 ))
until log 0 | grep -q '^held' && log "$second" | grep -q '^held'; do
  [ -n "$(squeue --noheader)" ] || { echo "no job was held"; log 0; exit 1; }
  sleep 0.2
done
# Kill the training process of one job, and requeue another as preemption does.
if [ "$second" = 1 ]; then
  kill -9 "$(pgrep -f 'experiments work .*--task 0' | head -n 1)" && echo "killed the training of job 0"
fi
job="$(squeue --noheader --array --format='%A %K' | awk -v task="$second" '$2 == task { print $1 }')"
scontrol requeue "$job" && echo "requeued job $second"
# Only now: a job that was queued again before must not wait for a file that is gone.
rm "$work/hold"
while [ -n "$(squeue --noheader)" ]; do
  # A job that was queued again waits for some time first; this one need not.
  for job in $(squeue --noheader --array --states=PENDING --format='%A %r' | awk '$2 == "BeginTime" { print $1 }'); do
    scontrol update JobId="$job" StartTime=now
  done
  sleep 0.2
done
"$program" report "$work/there/ablations/lrn-mini" | sed -n '5,9p'
cat "$work"/there/ablations/lrn-mini/logs/task-{0,1}.log

echo "== compared"
runs=0
for run in "$work"/here/*-seed*; do
  other="$work/there/$(basename "$run")"
  cmp "$run/weights.bpk" "$other/weights.bpk"
  cmp "$run/answers-centre.json" "$other/answers-centre.json"
  runs=$((runs + 1))
done
for task in 0 "$second"; do
  grep -q 'goes on after epoch' "$work/there/ablations/lrn-mini/logs/task-$task.log"
done
# The one that was requeued had its warning, and wrote a checkpoint where it was.
grep -q 'interrupted; the run goes on in epoch' "$work/there/ablations/lrn-mini/logs/task-$second.log"
echo "$runs runs: the same weights and answers, bit by bit"
[ "$runs" = 6 ]

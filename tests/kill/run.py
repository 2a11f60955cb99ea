#!/usr/bin/env python3
"""Kills an ablation of two jobs at random moments, many times; its results must be those of one that was left alone.

    tests/kill/run.py target/debug/experiments [KILLS]    (200 unless said)

Killed (SIGKILL) is the whole process group, the second job with it. The same command goes on until it is through; then
results and weights are compared bit by bit, and the next ablation begins in another folder.
"""
import filecmp, os, random, shutil, signal, subprocess, sys, tempfile, time

program, kills = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200
work = tempfile.mkdtemp()
draw = random.Random(2012)


def begin(out):
    command = [program, "ablation", "lrn", "--seeds", "2", "--epochs", "2", "--jobs", "2", "--plain", "--out", out]
    with open(os.path.join(work, "log"), "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def compare(one, other):
    runs = [run for run in sorted(os.listdir(one)) if "-seed" in run]
    assert len(runs) == 6, runs
    for run in runs:
        for name in ("weights.bpk", "answers-centre.json"):
            a, b = os.path.join(one, run, name), os.path.join(other, run, name)
            assert filecmp.cmp(a, b, shallow=False), f"{run}/{name} differs"


straight = os.path.join(work, "straight")
begun = time.monotonic()
assert begin(straight).wait() == 0
length = time.monotonic() - begun
done = through = 0
while done < kills:
    out = os.path.join(work, f"killed-{through}")
    while True:
        process = begin(out)
        try:
            code = process.wait(timeout=draw.uniform(0, length / 3) if done < kills else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            done += 1
            continue
        assert code == 0, open(os.path.join(work, "log")).read()[-2000:]
        break
    compare(straight, out)
    shutil.rmtree(out)
    through += 1
shutil.rmtree(work)
print(f"{done} kills over {through} ablations of six runs: the same weights and answers, bit by bit")

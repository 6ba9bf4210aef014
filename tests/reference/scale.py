"""What scale.sh does to runs of a recipe, and what it measures of them.

usage: scale.py time RUN_DIR FIGURES COMMAND...
       scale.py kill RUN_DIR SEED COMMAND...
       scale.py pocketsphinx DOWNLOADS DATA_DIR OUT_DIR
       scale.py report DATA_DIR EXP_DIR REPEATS STRICT

COMMAND is an `espnet3-par run` that takes further options at its end.
"""

import json
import multiprocessing
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import wave
from pathlib import Path

from sphinx import DEFAULT, EXACT, LADDER, decode, decoder, errors, records, table

WORKERS = 2
KILLS = 20
# However slow the machine: a run has new records, or its processes are gone, within this.
PATIENCE = 60
# Of the run's time, for the worker that has nothing to do any more while another one still works.
IDLE = 0.05
FIRST_PASS = "phone lookahead"
PEERS = {
    EXACT: "PocketSphinx, first pass without beams",
    FIRST_PASS: "PocketSphinx, first pass",
    DEFAULT: "PocketSphinx, three passes (its defaults)",
}


def measure(run, figures, command):
    """Runs COMMAND and adds to the file `figures`: its seconds, the processors' seconds, and for how many
    seconds the first worker to end was idle. A worker's file is last written when that has nothing left to do."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    # With those of the workers, which their task has waited for, as the driver has for that.
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)}: exit code {child.returncode}")
    ends = []
    for path in (run / "workers").glob("*.json"):
        assert json.loads(path.read_text())["ended"]["how"] == "finished", path
        ends.append(path.stat().st_mtime)
    assert len(ends) == WORKERS, ends
    line = {"seconds": seconds, "busy": usage.ru_utime + usage.ru_stime, "idle": max(ends) - min(ends)}
    with figures.open("a") as file:
        print(json.dumps(line), file=file)


def shard_files(run):
    """The records of each shard. One that is renamed meanwhile is passed by."""
    for folder in (run / "shards").glob("split.*"):
        try:
            yield (folder / "results.jsonl").read_bytes()
        except FileNotFoundError:
            pass


def num_lines(run):
    return sum(content.count(b"\n") for content in shard_files(run))


def recorded(run):
    """The items with a whole record on disk, while nobody works."""
    items = []
    for content in shard_files(run):
        items += [json.loads(line)["idx"] for line in content.split(b"\n")[:-1]]
    assert len(items) == len(set(items)), f"{run}: an item has two records"
    return set(items)


def living(run):
    """The tasks and workers of a run, as their command lines tell."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if arguments[1:2] and arguments[1].startswith("espnet3-par-") and str(run) in arguments:
            pids.append(int(path.parent.name))
    return pids


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def kill_all(run, driver):
    """kill -9 of everything at one moment: all are stopped first, so that none hears of another's end. Returns
    how many tasks and workers there were."""
    driver.send_signal(signal.SIGSTOP)
    stopped = set()
    while new := set(living(run)) - stopped:
        send(new, signal.SIGSTOP)
        stopped |= new
    send(stopped, signal.SIGKILL)
    driver.kill()
    driver.wait()
    until("all to be dead", lambda: not living(run))
    return len(stopped)


def until(what, holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"in vain for {PATIENCE} s: {what}")
        time.sleep(0.002)


def kill(run, seed, command):
    """Starts COMMAND and kills it with all of its processes, again and again, each time with another number of
    workers and after other numbers of records; what is on disk must stay there."""
    dice = random.Random(seed)
    before, total = set(), None
    for number in range(1, KILLS + 1):
        workers = 1 + number % 4
        driver = subprocess.Popen([*command, "--set", f"parallel.n_workers={workers}"], stdout=subprocess.DEVNULL)
        try:
            until("spec.json", (run / "spec.json").exists)
            total = total or json.loads((run / "spec.json").read_text())["fingerprint"]["num_items"]
            # So that a good part is left for the last one.
            wanted = len(before) + max(1, int(total / (KILLS + 4) * dice.uniform(0.1, 1.3)))
            until(f"{wanted} records", lambda: num_lines(run) >= wanted or driver.poll() is not None)
            time.sleep(dice.uniform(0, 0.03))
            assert driver.poll() is None, f"kill {number} of {KILLS} came too late: the run had ended"
        finally:
            killed = kill_all(run, driver)
        # split.SHARD.ATTEMPT.WORKER
        held = sum(folder.name.count(".") == 3 for folder in (run / "shards").iterdir())
        now = recorded(run)
        print(f"  kill {number:2}: {workers} workers, {len(now) - len(before):5} records more, "
              f"{total - len(now):6} to do, {held} shards in hand", flush=True)
        assert before < now, f"{len(before - now)} records are gone, {len(now - before)} are new"
        # A task, and a worker at least.
        assert killed >= 2 and held and len(now) < total, "the kill hit nobody at work"
        before = now


def half_of(task):
    """Decodes its part of the utterances; returns texts, and seconds by the clock and of the processor, without
    loading."""
    downloads, options, utterances = task
    pocketsphinx = decoder(downloads, loglevel="FATAL", **options)
    texts, start, cpu = {}, time.perf_counter(), time.process_time()
    for utt_id, path in utterances:
        with wave.open(path) as file:
            samples = file.readframes(file.getnframes())
        hypothesis = decode(pocketsphinx, samples)
        texts[utt_id] = hypothesis.hypstr if hypothesis else ""
    return texts, time.perf_counter() - start, time.process_time() - cpu


def pocketsphinx(downloads, data, out):
    """PocketSphinx over the same utterances, in as many processes."""
    utterances = list(table(data / "wav.scp").items())
    with multiprocessing.Pool(WORKERS) as pool:
        for name in PEERS:
            tasks = [(downloads, LADDER[name], utterances[half::WORKERS]) for half in range(WORKERS)]
            done = pool.map(half_of, tasks, chunksize=1)
            texts = {utt_id: text for half, *_ in done for utt_id, text in half.items()}
            seconds, busy = max(half[1] for half in done), sum(half[2] for half in done)
            content = {"seconds": seconds, "busy": busy, "texts": texts}
            (out / f"{name}.json").write_text(json.dumps(content))


def report(data, exp, repeats, strict):
    """Checks what was recognised, and prints how fast, how well, and how evenly."""
    truth, audio = table(data / "text"), sum(map(float, table(data / "utt2dur").values()))
    repeated, found = table(exp / "data/wav.scp"), records(exp / "undisturbed")
    lines = (exp / "undisturbed/results.jsonl").read_text().splitlines()
    assert [json.loads(line)["utt_id"] for line in lines] == list(repeated), "not every utterance once, in order"
    ours = {utt_id: found[f"{utt_id}-1"]["text"] for utt_id in truth}
    for utt_id, record in found.items():
        assert record["text"] == ours[utt_id.rpartition("-")[0]], f"{utt_id}: not the words of its copies"

    words = sum(len(text.split()) for text in truth.values())
    wrong = lambda texts: sum(errors(texts[utt_id].split(), text.split()) for utt_id, text in truth.items())
    scored = json.loads((exp / "score/score.json").read_text())["wer"]
    assert scored["errors"] == wrong(ours) * repeats, (scored, wrong(ours))

    runs = {name: [json.loads(line) for line in (exp / f"{name}.time").open()] for name in ("costs", "counts")}
    middle = {key: statistics.median(run[key] for run in runs["costs"]) / repeats for key in ("seconds", "busy")}
    rows = [("", f"espnet3-par, whole command, {repeats} times all", {**middle, "texts": ours})]
    for name, title in PEERS.items():
        rows.append((name, title, json.loads((exp / f"{name}.json").read_text())))
    print(f"\n{len(truth)} utterances, {audio / 3600:.2f} hours, {words} words; {WORKERS} processes each\n")
    print(f"{'':42}RTF of a core     CPU      WER    words as here")
    for name, title, row in rows:
        same = sum(row["texts"][utt_id] == ours[utt_id] for utt_id in truth)
        print(f"{title:42}{row['seconds'] * WORKERS / audio:13.5f}{row['busy'] / audio:8.5f}"
              f"{wrong(row['texts']) / words:9.2%}{same:9} of {len(truth)}")
        # Of two paths with the same score either is right.
        assert name != EXACT or same >= 0.99 * len(truth), "not what PocketSphinx's first pass finds"

    print(f"\n{'asr, 2 workers':42}{'seconds':>13}{'cores busy':>12}{'last alone':>14}")
    for name, title in [("costs", "shards of equal cost"), ("counts", "shards of equal count (no utt2dur)")]:
        for run in runs[name]:
            busy, idle = run["busy"] / run["seconds"] / WORKERS, run["idle"] / run["seconds"]
            print(f"  {title:40}{run['seconds']:13.2f}{busy:12.1%}{idle:14.2%}")
    idle = statistics.median(run["idle"] / run["seconds"] for run in runs["costs"])
    if strict and idle >= IDLE:
        sys.exit(f"a worker was idle for {idle:.1%} of the run; less than {IDLE:.0%} is wanted")


if __name__ == "__main__":
    command, first, second, *rest = sys.argv[1:]
    if command == "time":
        measure(Path(first), Path(second), rest)
    elif command == "kill":
        kill(Path(first), int(second), rest)
    elif command == "pocketsphinx":
        pocketsphinx(Path(first), Path(second), Path(rest[0]))
    else:
        report(Path(first), Path(second), int(rest[0]), rest[1] == "yes")

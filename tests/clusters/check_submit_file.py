"""Has HTCondor's own parser read submit files, and says what it makes of each job.

usage: python check_submit_file.py FILE...

A file is a submit file, or one of tests/rendered/htcondor. Needs `pip install htcondor==24.12.*`:
the first version of its Python interface, which later packages leave out.
"""

import os
import sys
from pathlib import Path

os.environ["CONDOR_CONFIG"] = "ONLY_ENV"

import htcondor  # noqa: E402: it looks for its configuration when it is imported

SHOWN = ["Cmd", "Arguments", "Out", "Err", "UserLog", "JobBatchName", "AcctGroup", "RequestCpus"]
SHOWN += ["RequestMemory", "RequestDisk", "PeriodicRemove", "ShouldTransferFiles"]


def submit_file(text):
    """The submit file in a rendered case; `None`: the options were refused."""
    if "\n(refused)\n" in text:
        return None
    _, found, rest = text.partition("---- job.sub\n")
    return rest.partition("---- ")[0] if found else text


def jobs(text):
    """The jobs that condor_submit would send to the queue."""
    lines = text.splitlines()
    made = list(htcondor.Submit(text).jobs(clusterid=7))
    wanted = int(lines[-1].removeprefix("queue "))
    if [job["ProcId"] for job in made] != list(range(wanted)):
        raise ValueError(f"{len(made)} jobs, wanted {wanted}")
    if [job["Arguments"] for job in made] != [str(task) for task in range(wanted)]:
        raise ValueError("tasks do not get their index")
    return made


def main(paths):
    wrong = 0
    for path in paths:
        text = submit_file(Path(path).read_text())
        if text is None:
            print(f"{path}: refused before")
            continue
        try:
            made = jobs(text)
        except (ValueError, htcondor.HTCondorException) as error:
            print(f"{path}: {error}")
            wrong += 1
            continue
        print(f"{path}: {len(made)} jobs, the last:")
        for key in SHOWN:
            if key in made[-1]:
                print(f"  {key} = {made[-1].lookup(key)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

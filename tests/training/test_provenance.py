import datetime
import json
import os
import subprocess
import sys
import time

import torch

from anyir._version import __version__
from anyir.data.catalogue import Row
from anyir.training.loop import train
from anyir.training.provenance import commit, data_summary


def test_the_folder_says_what_each_sitting_was_made_with(tiny_data, tmp_path, recipe, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["anyir", "train", "mine"])
    run = tmp_path / "run"
    train(recipe(), tiny_data, run, recipe_name="mine", device="cpu", should_stop=lambda: True)
    first = json.loads((run / "run.json").read_text())["sittings"]
    monkeypatch.setattr(sys, "argv", ["anyir", "train", "mine", "--resume"])
    train(recipe(), tiny_data, run, recipe_name="mine", device="cpu", resume=True, should_stop=lambda: True)
    both = json.loads((run / "run.json").read_text())["sittings"]
    assert len(first) == 1 and len(both) == 2 and both[0] == first[0]
    assert [sitting["command"][3:] for sitting in both] == [[], ["--resume"]]
    said = both[0]
    assert said["torch"] == torch.__version__ and said["anyir"] == __version__ and said["recipe"] == "mine"
    assert said["threads"] == torch.get_num_threads() and said["cpus"] == os.cpu_count()
    assert said["processes"] == 1 and said["gpu"] is None
    assert said["data"]["pictures"] == 14 and said["data"]["sets"]["bsds"]["examples"] == 7
    assert len(said["data"]["sets"]["bsds"]["sha256"]) == 64
    started = datetime.datetime.fromisoformat(said["started"])
    assert started.utcoffset() == datetime.timedelta(0)
    assert abs(started.timestamp() - time.time()) < 600


def test_the_data_summary_tells_whether_two_runs_had_the_same_files(tmp_path):
    def rows(names):
        return [Row("photos", name, tmp_path / "photos" / name, None, None) for name in names]

    (tmp_path / "photos").mkdir()
    for name in "ab":
        (tmp_path / "photos" / name).write_text("one")
    first = data_summary(rows("ab"))
    assert first["photos"]["examples"] == 2 and len(first["photos"]["sha256"]) == 64
    assert data_summary(rows("ba")) == first
    assert data_summary(rows("a"))["photos"]["sha256"] != first["photos"]["sha256"]
    odd = (
        "caf\udce9" if sys.platform == "linux" else "caf"
    )  # bytes that are no UTF-8, where names may be such
    (tmp_path / "photos" / odd).write_text("one")
    assert data_summary(rows(["a", odd])) != data_summary(rows("ab"))
    (tmp_path / "photos/a").write_text("three")
    assert data_summary(rows("ab"))["photos"]["sha256"] != first["photos"]["sha256"]


def test_the_commit_is_told_only_of_files_that_are_in_it(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    tracked, untracked = tmp_path / "tracked.py", tmp_path / "untracked.py"
    for file in (tracked, untracked):
        file.write_text("1")
    assert commit(tracked) is None
    git("init")
    git("add", "tracked.py")
    git("commit", "-m", "first")
    said = commit(tracked)
    assert said is not None and len(said["hash"]) == 40 and said["changed"] is False
    assert commit(untracked) is None
    tracked.write_text("2")
    assert commit(tracked) == {"hash": said["hash"], "changed": True}
    monkeypatch.setenv("PATH", "")
    assert commit(tracked) is None

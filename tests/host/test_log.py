"""The operator's log: lines, and what becomes of them when there is nowhere to write."""

import io
import json

from homeport.basestation.log import JsonLog


class Disk(io.StringIO):
    """Full at times."""

    full = False

    def write(self, text):
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_peer_text_stays_on_its_line():
    stream = io.StringIO()
    JsonLog(stream)("x", name="a\nb\x1b[31m" + "c" * 1000)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["name"].startswith("a\ufffdb\ufffd[31mccc")
    assert len(line) < 500


def test_a_full_disk_costs_lines_and_the_next_one_says_how_many():
    disk = Disk()
    log = JsonLog(disk)
    disk.full = True
    log("lost")
    log("lost too")
    disk.full = False
    log("kept")
    log("and this")
    kept, after = map(json.loads, disk.getvalue().splitlines())
    assert (kept["event"], kept["lines_lost"]) == ("kept", 2)
    assert "lines_lost" not in after

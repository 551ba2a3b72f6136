"""Fuzz one target for some seconds: `fuzz_one.py TARGET SECONDS CORPUS`. Exits non-zero on a crash, which it keeps.

Coverage-guided by atheris where it has a wheel for this interpreter and machine; elsewhere plain random damage.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path


def fuzz_guided(name: str, seconds: int, corpus: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=["homeport_core", "homeport_device", "homeport"]):
        import targets
    arguments = [sys.argv[0], f"-max_total_time={seconds}", "-max_len=2048", "-timeout=10", "-verbosity=0"]
    arguments += [f"-artifact_prefix={corpus}/crash-", str(corpus)]
    atheris.Setup(arguments, targets.TARGETS[name])
    atheris.Fuzz()


def fuzz_blindly(name: str, seconds: int, corpus: Path) -> None:
    import targets

    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    pool = [file.read_bytes() for file in sorted(corpus.iterdir())] or [b""]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = bytearray(dice.choice(pool))
        for _ in range(dice.randrange(4)):
            if data:
                data[dice.randrange(len(data))] = dice.randrange(256)
        data = (
            data[: dice.randrange(len(data) + 1)] if dice.random() < 0.3 else data + dice.randbytes(dice.randrange(4))
        )
        try:
            targets.TARGETS[name](bytes(data))
        except BaseException:
            (corpus / f"crash-{seed}").write_bytes(data)
            raise


def main() -> None:
    name, seconds, corpus = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    try:
        import atheris  # noqa: F401
    except ImportError:
        fuzz_blindly(name, seconds, corpus)
    else:
        fuzz_guided(name, seconds, corpus)


if __name__ == "__main__":
    main()

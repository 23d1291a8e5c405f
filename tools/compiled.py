"""Compiles the modules that every record passes through with mypyc: the same sources, one to three times as fast.

    python -m tools.compiled [FOLDER]     beside their sources in FOLDER (default: this checkout)
    python -m tools.compiled --remove     back to plain Python

Needs a C compiler, Python's headers and the `compile` dependency group. Python imports an extension module before the
source of the same name; a house test refuses one that is older than its source (docs/decisions/0004).
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = "hutong"
MODULES = (
    "app/protocol/canonical.py",
    "app/protocol/exact.py",
    "app/protocol/formats/dublin_core.py",
    "app/protocol/oaipmh/flat.py",
    "app/protocol/oaipmh/reading.py",
    "app/protocol/record.py",
    "app/protocol/seen.py",
    "app/protocol/text.py",
    "app/protocol/vocab/languages.py",
    "app/protocol/vocab/lookup.py",
    "app/protocol/words.py",
    "app/catalogue/arrivals.py",
    "app/catalogue/digests.py",
    "app/catalogue/order.py",
    "app/catalogue/search.py",
    "app/catalogue/service.py",
    "app/harvest/prepare.py",
)


def compile(sources: Path, into: Path, level: str = "3") -> None:
    """Builds the modules of `sources` and puts them into the same places of `into`. Raises what the compilers raise."""
    from mypyc.build import mypycify
    from setuptools import Distribution

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        config = work / "mypy.ini"
        config.write_text(
            f"[mypy]\nmypy_path = {sources}\nfollow_imports = skip\nignore_missing_imports = True\ncache_dir = {work}\n"
        )
        options = ["--config-file", str(config)]
        paths = [str(sources / module) for module in MODULES]
        extensions = mypycify(
            options + paths, opt_level=level, debug_level="0", group_name=LIBRARY, target_dir=str(work / "c")
        )
        distribution = Distribution({"name": LIBRARY, "ext_modules": extensions})
        command = distribution.get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(work / "made"), str(work / "objects")
        command.ensure_finalized()
        command.run()
        shutil.copytree(work / "made", into, dirs_exist_ok=True)


def built(folder: Path) -> Iterator[Path]:
    """The compiled modules in a folder."""
    yield from folder.glob(f"{LIBRARY}__mypyc*.so")
    for module in MODULES:
        yield from (folder / module).parent.glob(f"{Path(module).stem}.*.so")


def stale(folder: Path) -> list[str]:
    """Sources that are newer than what was compiled from them."""
    found = {path.name.partition(".")[0]: path.stat().st_mtime for path in built(folder)}
    return [m for m in MODULES if found.get(Path(m).stem, float("inf")) < (folder / m).stat().st_mtime]


def main() -> None:
    """Compiles, or removes what was compiled."""
    if "--remove" not in sys.argv:
        compile(ROOT, Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
        return
    for path in list(built(ROOT)):
        path.unlink()


if __name__ == "__main__":
    main()

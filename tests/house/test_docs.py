"""The documentation keeps up with the code."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.main import get_group

from app.cli import FILES, LINES, command
from app.harvest.discovery import configured, kinds
from app.settings import Settings
from connectors import __path__ as connector_path

ROOT = Path(__file__).resolve().parents[2]
PROBLEMS = (ROOT / "docs" / "problems.md").read_text()
PAGES = re.findall(r"^## `([^`]+)`$", PROBLEMS, re.MULTILINE)
NAMED = {"PeerViolation", "Fault"}


def _kinds() -> set[str]:
    """Every rule id in the code: what is given to a violation or a fault, and what looks like a known kind."""
    known = re.compile(rf"(?:{'|'.join({page.split('.')[0] for page in PAGES if '.' in page})})\.(?!html\Z)[a-z_]+\Z")
    found = set()
    for file in [*ROOT.glob("app/**/*.py"), *ROOT.glob("connectors/*.py")]:
        if "demo" in file.parts or file.name == "cli.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMED and node.args:
                node, sure = node.args[0], True
            else:
                sure = False
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and (sure or known.match(node.value)):
                found.add(node.value)
    return found - {""}


def test_every_kind_and_rule_has_one_page() -> None:
    assert _kinds() - set(PAGES) == set()
    assert [page for page in set(PAGES) if PAGES.count(page) > 1] == []


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    assert [name for name in Settings.model_fields if name.upper() not in text] == []


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    block = (ROOT / "pyproject.toml").read_text().split("dependencies = [", 1)[1].split("]", 1)[0]
    assert [name for name in re.findall(r'"([a-z-]+)', block) if name not in text] == []


def test_the_floors_hold() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_commit_stands_in_one_file_and_the_http_client_in_one_room() -> None:
    texts = {file.relative_to(ROOT).as_posix(): file.read_text() for file in ROOT.glob("app/**/*.py")}
    assert [name for name, text in texts.items() if ".commit(" in text and name != "app/db.py"] == []
    clients = {name for name, text in texts.items() if re.search(r"^import httpx", text, re.MULTILINE)}
    room = {"app/harvest/fetch.py", "app/harvest/guard.py"}
    assert {name for name in clients if not name.startswith("app/harvest/wire/")} <= room
    inside = {name for name, text in texts.items() if "app.harvest.wire" in text}
    assert {name for name in inside if not name.startswith("app/harvest/wire/")} == {"app/harvest/fetch.py"}


def test_the_contract_is_the_one_that_is_published(tmp_path: Path) -> None:
    import orjson

    from app.main import create

    made = orjson.dumps(
        create(Settings(data_dir=tmp_path), harvest=False).openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    )
    assert (ROOT / "openapi" / "hub.json").read_bytes().strip() == made, "run `make openapi`"


def test_each_connector_is_one_file_of_one_kind() -> None:
    files = [file.stem for file in Path(connector_path[0]).glob("*.py") if file.stem != "__init__"]
    assert sorted(kind.__module__.removeprefix("connectors.") for kind in kinds().values()) == sorted(files)


def _page(kind: str) -> str:
    return (ROOT / "docs" / "connectors" / f"{kind}.md").read_text()


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_each_connector_has_its_page_in_chinese_and_english(kind: str) -> None:
    assert f"](connectors/{kind}.md)" in (ROOT / "docs" / "connectors.md").read_text()
    lines = _page(kind).splitlines()
    english = [line for line in lines if not re.search("[\u4e00-\u9fff]", line)]
    assert len(re.findall("[\u4e00-\u9fff]", _page(kind))) > 100
    assert len(re.findall(r"[a-z]+ ", " ".join(english))) > 40


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_the_configurations_of_a_connectors_page_are_accepted(kind: str) -> None:
    examples = re.findall(r"--connector (\S+)[^`]*?--config\s+'([^']*)'", _page(kind))
    assert kind in [name for name, _ in examples]
    for name, config in examples:
        configured(name, orjson.loads(config))


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_a_connectors_page_names_only_rules_that_have_a_page(kind: str) -> None:
    families = "|".join(sorted({page.split(".")[0] for page in PAGES if "." in page}))
    named = re.findall(rf"`((?:{families})\.[a-z_]+)`", _page(kind))
    assert {name for name in named if not name.endswith((".html", ".json", ".xml", ".csv"))} - set(PAGES) == set()


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    names = [one for name in LINES for one in _commands(command(name), f"hutong {name}")]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_parser_knows_every_command_and_its_line() -> None:
    for file in ROOT.glob("app/commands/[a-z]*.py"):
        held = get_group(import_module(f"app.commands.{file.stem}").commands).commands
        assert sorted(held) == sorted(FILES[file.stem])
        for name, found in held.items():
            if not hasattr(found, "commands"):
                assert " ".join(found.help.split()) == LINES[name]


def test_help_loads_no_room() -> None:
    script = "import sys, app.cli; print([name for name in sys.modules if name.startswith('app.')])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(done.stdout)) == {"app.cli", "app.protocol", "app.protocol.errors"}


def _commands(command: Any, name: str) -> Iterator[str]:
    """The whole names of a command and of those below it that do something."""
    below = getattr(command, "commands", {})
    if not below or command.invoke_without_command:
        yield name
    for word, part in below.items():
        yield from _commands(part, f"{name} {word}")


def test_every_fault_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "faults.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert [one for one in named if f"def {one[1]}(" not in (ROOT / one[0]).read_text()] == []
    parts = re.split(r"^##+ ", text, flags=re.MULTILINE)[1:]
    told = [part.splitlines()[0] for part in parts if "**枢纽 Hub:**" in part and "::test_" not in part]
    assert (told, len(named) > 25) == ([], True)
    rigs = {file.relative_to(ROOT).as_posix() for file in ROOT.glob("tests/faults/test_*.py")}
    assert rigs <= {file for file, _ in named}, "each rig stands in the table"

"""The pages of the API reference: one for each public package, with every name of its `__all__`.

Files are read, not imported, so that no extra is needed.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMAND_LINE = "ddapps.cli"
FOLDER = "api"
UNTITLED = {"show_root_heading": "false", "show_root_toc_entry": "false"}


def source(module: str) -> Path | None:
    """Return a module's file, or a package's."""
    base = ROOT.joinpath("core" if module.startswith("ddcore") else "", *module.split("."))
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.exists()), None)


@cache
def read(module: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the names of a module's `__all__`, and where it imports names from."""
    path, names, imported = source(module), [], {}
    assert path is not None, module
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and "__all__" in {getattr(target, "id", "") for target in node.targets}:
            names = [str(name) for name in ast.literal_eval(node.value)]
        if isinstance(node, ast.ImportFrom) and node.module:
            imported |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return tuple(names), imported


def origin(module: str, name: str) -> str:
    """Return the address of what a module calls `name`, where it is defined."""
    address = f"{module}.{name}"
    found = read(module)[1].get(name, address)
    holder, _, inner = found.rpartition(".")
    return found if found == address or source(holder) is None else origin(holder, inner)


def is_module(package: str, name: str) -> bool:
    """Whether what a package calls `name` is a module of its own."""
    address = f"{package}.{name}"
    return origin(package, name) == address and source(address) is not None


def is_hidden(package: str, name: str) -> bool:
    """Whether a module of the same name stands where a package passes on an object.

    A static reading finds the module there.
    """
    address = f"{package}.{name}"
    holder, _, inner = read(package)[1].get(name, address).rpartition(".")
    if f"{holder}.{inner}" == address or source(holder) is None:
        return False
    return source(address) is not None or is_hidden(holder, inner)


def identifier(package: str, name: str) -> str:
    """Return the address at which a static reading finds what a package calls `name`."""
    return origin(package, name) if is_hidden(package, name) else f"{package}.{name}"


def entry(package: str, name: str) -> str:
    """Return what documents a name, with an anchor at its public address."""
    address, found = f"{package}.{name}", identifier(package, name)
    return f"::: {found}" if found == address else f"[](){{#{address}}}\n\n::: {found}"


def packages() -> tuple[str, ...]:
    """Return what the reference has pages of: `ddcore` and its packages, then the applications.

    Modules that `ddcore` offers by name are among them, the command line is not.
    """
    offered = {f"ddcore.{name}" for name in read("ddcore")[0] if is_module("ddcore", name)}
    core = {f"ddcore.{path.parent.name}" for path in ROOT.glob("core/ddcore/*/__init__.py")}
    applications = {f"ddapps.{path.parent.name}" for path in ROOT.glob("ddapps/*/__init__.py")} - {COMMAND_LINE}
    return ("ddcore", *sorted(offered | core), *sorted(applications))


def place(package: str) -> str:
    """Return the place of a package's page in the site."""
    return f"{FOLDER}/{package}.md"


def pages() -> dict[str, str]:
    """Return the text of every page by its place."""
    return {place(package): page(package) for package in packages()}


def page(package: str) -> str:
    """Return a page: what the package says of itself, then each name.

    What `ddcore` offers itself stands on its page; those of its packages link there.
    """
    title = f"# `{package}`\n\n"
    names = read(package)[0]
    if not names:
        return f"{title}::: {package}\n{options(**UNTITLED)}"
    at_root = {} if package == "ddcore" else {origin("ddcore", name): name for name in read("ddcore")[0]}
    whole, links = [], []
    for name in sorted(names, key=str.isupper):
        address, root_name = f"{package}.{name}", at_root.get(origin(package, name))
        if package == "ddcore" and is_module(package, name):
            continue
        if root_name:
            links.append(f"- [`{address}`][{identifier('ddcore', root_name)}]")
        else:
            whole.append(entry(package, name))
    if package == "ddcore":
        links = [f"- [`{one}`]({one}.md): {first_line(one)}" for one in packages()[1:]]
    listed = "\n".join(links)
    heading = "Packages" if package == "ddcore" else "Also in `ddcore`"
    about = f"::: {package}\n{options(**UNTITLED, members='[]')}"
    return "\n\n".join([title.strip(), about, *([f"## {heading}\n\n{listed}"] if links else []), *whole]) + "\n"


def options(**given: str) -> str:
    """Return the options of one entry, as they stand below it."""
    return "    options:\n" + "".join(f"        {name}: {value}\n" for name, value in given.items())


def first_line(module: str) -> str:
    """Return what a module says of itself first."""
    path = source(module)
    assert path is not None, module
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]

"""The repository agrees with itself: metadata, documentation, README and CI."""

import ast
import configparser
import doctest
import inspect
import operator
import re
import tomllib
from graphlib import TopologicalSorter
from importlib import metadata
from importlib.util import resolve_name
from pathlib import Path

import numba
import pytest
from prose import texts

import nbadam

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCES = {  # trees of the modules by name
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): ast.parse(text)
    for path in (ROOT / "nbadam").rglob("*.py")
    for text in [path.read_text()]
}
README = (ROOT / "README.md").read_text()
BUILT = {ROOT / "docs" / folder for folder in ("_build", "examples", "reference", "shipped")}
# Folders and hosts that only the machine of one developer has or needs.
FOREIGN = re.compile(r"(?<![\w.*~}/-])/(?:home|opt|root|tmp|work)/\w|\.\./shared|pypi\.org|pythonhosted\.org")


def source_files():
    folders = ["nbadam", "tests", "benchmarks", "docs", "examples", ".ci"]
    files = [path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".coverage")]
    files = [path for path in files if path.name != ".git"]  # what a worktree has names its place
    files += [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [path for path in files if "__pycache__" not in path.parts and not BUILT & set(path.parents)]


def test_every_public_name_is_in_the_reference():
    reference = (ROOT / "docs/api.rst").read_text()
    tables = re.findall(r"^\.\. autosummary::\n(?:   :.*\n)+\n((?:   \S+\n)+)", reference, re.M)
    entries = " ".join(tables).split()
    missing = set(nbadam.__all__) - set(entries)
    assert not missing
    assert len(entries) == len(set(entries))


def public_objects():
    """All objects that have a page of the reference, but for modules and instances."""
    names = [*nbadam.__all__, "rules.Rule"]
    names += [f"schedules.{name}" for name in nbadam.schedules.__all__]
    names += [f"vector_math.{name}" for name in nbadam.vector_math.__all__]
    objects = {name: operator.attrgetter(name)(nbadam) for name in names}
    return {
        name: value for name, value in objects.items() if inspect.isclass(value) or inspect.isfunction(value)
    }


@pytest.mark.parametrize("name", nbadam.__all__)
def test_every_public_name_exists_and_is_documented(name):
    assert getattr(nbadam, name).__doc__


@pytest.mark.parametrize("name", public_objects())
def test_every_public_object_has_an_example_and_its_neighbours(name):
    text = inspect.getdoc(public_objects()[name])
    assert ">>> " in text and text.count("See Also\n--------\n") == 1


def public_methods():
    """Methods of the classes of the reference, those inherited from nbadam's own bases included."""
    found = {}
    for value in filter(inspect.isclass, public_objects().values()):
        for name, member in inspect.getmembers(value, lambda v: inspect.isfunction(v) or inspect.ismethod(v)):
            if not name.startswith("_") and member.__module__.startswith("nbadam."):
                found[f"{member.__module__}.{member.__qualname__}"] = member
    return found


@pytest.mark.parametrize("name", public_methods())
def test_every_public_method_has_an_example_and_its_neighbours(name):
    text = inspect.getdoc(public_methods()[name])
    assert ">>> " in text and text.count("See Also\n--------\n") == 1


def test_every_shipped_model_has_an_example_and_its_neighbours():
    for name in nbadam.models.__all__:
        text = getattr(nbadam.models, name).__doc__
        assert text.count("See Also\n--------\n") == 1
        example = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
        assert example.examples and doctest.DocTestRunner().run(example).failed == 0


def test_data_of_examples_are_declared_with_their_sources():
    rows = re.findall(r"^\| (\S+/\S+) \|.*\| (.+) \|$", (ROOT / "examples/DATA.md").read_text(), re.M)
    files = [
        path for path in (ROOT / "examples").rglob("*.*") if path.suffix not in (".py", ".rst", ".md", ".pyc")
    ]
    files = {path.relative_to(ROOT / "examples").as_posix() for path in files}
    licences = {name for name in files if name.startswith("LICENSE.")}
    assert {name for name, _ in rows} == files - licences
    named = {name for _, licence in rows for name in re.findall(r"LICENSE\.\w+", licence)}
    assert named == licences == {Path(name).name for name in PROJECT["license-files"] if "examples/" in name}
    contents = [path.read_bytes() for path in source_files() if path.suffix in (".csv", ".gz", ".npz")]
    assert len(contents) == len(set(contents))  # nothing ships twice


@pytest.mark.parametrize("name", ["models", "rules", "schedules", "vector_math"])
def test_every_public_module_has_an_example(name):
    assert ">>> " in getattr(nbadam, name).__doc__


def test_no_example_is_skipped_but_the_one_that_would_clear_the_cache_of_the_tests():
    texts = {path.name: path.read_text() for path in source_files() if path.suffix in (".py", ".rst", ".md")}
    skipped = [name for name, text in texts.items() if re.search(r"^ *(>>>|\.\.\.) .*\+SKIP", text, re.M)]
    assert skipped == ["_cache.py"]


def test_neighbours_in_docstrings_exist():
    missing = []
    for name, value in (public_objects() | public_methods()).items():
        block = re.search(r"See Also\n-+\n(.*?)(\n\n|\Z)", inspect.getdoc(value), re.S)[1]
        for found in re.findall(r"nbadam\.([\w.]+)", "\n".join(re.findall(r"^\S[^:]*", block, re.M))):
            try:
                operator.attrgetter(found)(nbadam)
            except AttributeError:
                missing.append((name, found))
    assert missing == []


def test_the_package_lists_public_names_only():
    assert [name for name in dir(nbadam) if not name.startswith("__")] == sorted(nbadam.__all__)


def test_version_of_the_installed_package():
    try:
        installed = metadata.version("nbadam")
    except metadata.PackageNotFoundError:
        pytest.skip("nbadam is not installed")
    assert installed == nbadam.__version__


def test_dependencies_are_tested_at_their_lower_bounds():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    lowest = dict(line.split("==") for line in tox["testenv:lowest"]["deps"].split())
    bounds = dict(requirement.split(">=") for requirement in PROJECT["dependencies"])
    assert set(bounds) == set(lowest) == {"numba", "numpy", "scipy"}
    for name, bound in bounds.items():
        assert f"{lowest[name]}.".startswith(f"{bound}.")


def test_readme_has_two_commands_and_ci_runs_the_second():
    commands = re.findall(r"^```bash\n(.*?)\n```$", README, re.M | re.S)
    assert commands == [
        "python -m pip install . && python -m nbadam",
        "python -m pip install tox-uv && python -m tox",
    ]
    assert commands[1] in (ROOT / ".ci/run").read_text().splitlines()


def test_links_of_the_readme_exist():
    links = re.findall(r"\]\(([^):]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_no_file_names_a_place_that_other_machines_lack():
    found = []
    for path in source_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # golden files and the like
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in FOREIGN.finditer(text)]
    assert found == []


def test_linear_algebra_is_the_one_that_forks_wait_for():
    own = ROOT / "nbadam/_linalg.py"
    others = {path: path.read_text() for path in (ROOT / "nbadam").rglob("*.py") if path != own}
    direct = re.compile(r"np\.linalg\.(?!norm\b|LinAlgError\b)|np\.(matmul|dot|tensordot)\(")
    assert [(path.name, match[0]) for path, text in others.items() for match in direct.finditer(text)] == []


# --- Prose ---------------------------------------------------------------------------------------

PROSE = list(texts(ROOT / "nbadam"))
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]+(: [^=]+)? = ")
CONTINUES = "about above after and as at before below beside but by for from in into of on or than that "
CONTINUES += "then to until up what when where which who whose with without"


def test_docstrings_begin_with_a_verb_or_a_noun():
    first = re.compile(r"(What|Which|Where|How|Why|When|Who|Whose|Of)\b")
    assert [str(text) for text in PROSE if text.kind == "docstring" and first.match(text.text)] == []


def test_comments_beside_constants_read_alone():
    beside = [text for text in PROSE if text.kind == "comment" and CONSTANT.match(text.code)]
    assert len(beside) > 10
    assert [str(text) for text in beside if re.split(r"\W", text.text.lower())[0] in CONTINUES.split()] == []


def test_what_is_rare():
    """At most 1 in 1,000 words, as in SciPy, Optax and Optimistix."""
    words = [word.lower() for text in PROSE for word in text.words]
    assert len(words) > 5000
    assert words.count("what") <= len(words) / 1000


def test_sentences_have_at_most_25_words():
    long = [(str(text), s) for text in PROSE for s in text.sentences() if len(s.split()) > 25]
    assert long == []


# --- Imports of modules of this package by each other ---------------------------------------------


def imported(module, tree):
    """Return the modules of the package that a part of a module imports, with the lines."""
    is_package = any(name.startswith(f"{module}.") for name in SOURCES)
    package = module if is_package else module.rpartition(".")[0]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            whole = [f"{base}.{alias.name}" for alias in node.names]
            found += [(name if name in SOURCES else base, node.lineno) for name in whole]
    return [(name, line) for name, line in found if name in SOURCES]


def test_modules_do_not_import_each_other_in_circles():
    """The package itself imports nothing: its names, which type checkers see as imports, come on demand."""
    graph = {
        module: {name for name, _ in imported(module, tree)} - {module, "nbadam"}
        for module, tree in SOURCES.items()
        if module != "nbadam"
    }
    assert sum(map(len, graph.values())) > 500
    TopologicalSorter(graph).prepare()


def test_functions_import_other_packages_only():
    """An import of this package within a function hides a circle."""
    functions = [
        (module, node)
        for module, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]
    assert len(functions) > 1000
    assert [(module, *each) for module, node in functions for each in imported(module, node)] == []


# Calls of `numba.types` that make no signature: of functions for typing, and the result of one operation.
OTHER_TYPES = {"Dispatcher", "Function", "VarArg", "from_types", "unliteral"}
RESULTS = {"nbadam.dual.tuples": {"UniTuple"}}


def test_signatures_of_kernels_are_derived():
    """`compile_kernel` takes examples: no other module makes types of arguments, or texts of signatures."""
    compilers = {"cfunc", "guvectorize", "jit", "njit", "vectorize"}
    found = []
    for module, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "numba":
                values = [getattr(numba, entry.name, None) for entry in node.names]
                found += [(module, value) for value in values if isinstance(value, numba.types.Type)]
                found += [(module, "from_dtype") for value in values if value is numba.from_dtype]
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called.startswith(("types.", "numba.types.")):
                name = called.rpartition(".")[2]
                if name not in OTHER_TYPES | RESULTS.get(module, set()):
                    found.append((module, ast.unparse(node)))
            if called.rpartition(".")[2] in compilers:
                written = [given for given in node.args if not isinstance(given, ast.Name | ast.Attribute)]
                found += [(module, ast.unparse(given)) for given in written]
    assert found == []

"""`make check` and `make quick`: the static checks, then the tests, each with its time.

All static checks run, whatever they find; the tests run only on a tree that passes them. pytest
runs last and prints the last line. The environments of client programs, which mostly wait for a
registry, are built beside the static checks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import tomllib

from tools.steps import ROOT, VENV, run, venv_program

# Groups of tests that start real clients and servers, kill them, or draw many histories: not for
# the inner loop.
SLOW_GROUPS = {"cli", "clients", "doris", "faults", "kills", "notebook", "properties", "seed"}
QUICK_CLIENT = "clients/test_boto3.py"


def static_checks(*, quick: bool) -> list[tuple[str, list[str]]]:
    """Return names and commands of the checks that run nothing of ours but Rust's unit tests."""
    checks = [
        ("format", [venv_program("ruff"), "format", "--check"]),
        ("lint", [venv_program("ruff"), "check"]),
        ("import contracts", [venv_program("lint-imports"), "--cache-dir", ".cache/import-linter"]),
        ("types", [venv_program("mypy")]),
    ]
    return checks if quick else checks + rust_checks()


def rust_checks() -> list[tuple[str, list[str]]]:
    """Return the checks of the native part; a minimal toolchain goes without some.

    They share the release profile with the installed module, so that the dependencies are compiled
    once; our own crates are compiled with overflow checks and debug assertions on.
    """
    native = ROOT / "native"
    manifest = ["--manifest-path", str(native / "Cargo.toml")]
    strict: list[str] = []
    for path in sorted(native.glob("*/Cargo.toml")):
        name = tomllib.loads(path.read_text())["package"]["name"]
        for option in ("overflow-checks", "debug-assertions"):
            strict += ["--config", f"profile.release.package.{name}.{option}=true"]
    release = [*manifest, "--workspace", "--release", "--locked", "--quiet"]
    checks = []
    if shutil.which("cargo-fmt"):
        checks.append(("Rust format", ["cargo", "fmt", *manifest, "--all", "--check"]))
    if shutil.which("cargo-clippy"):
        deny = ["--all-targets", "--", "--deny", "warnings"]
        checks.append(("Rust lint", ["cargo", "clippy", *release, *deny]))
    checks.append(("Rust tests", ["cargo", "test", *release, *strict]))
    return checks + generator_checks()


def generator_checks() -> list[tuple[str, list[str]]]:
    """Return the checks of the benchmarks' load generator, a workspace of its own."""
    manifest = ["--manifest-path", str(ROOT / "bench" / "generator" / "Cargo.toml")]
    target = ["--target-dir", str(ROOT / ".cache" / "bench-generator")]
    release = [*manifest, *target, "--release", "--locked", "--quiet"]
    checks = []
    if shutil.which("cargo-fmt"):
        checks.append(("generator format", ["cargo", "fmt", *manifest, "--check"]))
    if shutil.which("cargo-clippy"):
        deny = ["--all-targets", "--", "--deny", "warnings"]
        checks.append(("generator lint", ["cargo", "clippy", *release, *deny]))
    checks.append(("generator tests", ["cargo", "test", *release]))
    return checks


def quick_paths() -> list[str]:
    """Return the folders of fast tests, and the one client of the inner loop."""
    folders = sorted(
        path
        for path in (ROOT / "tests").iterdir()
        if path.is_dir() and path.name not in SLOW_GROUPS and any(path.rglob("test_*.py"))
    )
    client = ROOT / "tests" / QUICK_CLIENT
    return [str(path.relative_to(ROOT)) for path in [*folders, client] if path.exists()]


def test_command(*, quick: bool, more: list[str]) -> list[str]:
    """Return the one call of pytest."""
    command = [venv_program("python"), "-m", "pytest"]
    if os.environ.get("CI"):
        command += ["--hypothesis-profile=ci", "--durations=15", "--color=no"]
    if quick:
        paths = [] if any(not option.startswith("-") for option in more) else quick_paths()
        command += ["-q", "-m", "not slow", "--numprocesses=auto", "--dist=loadfile", *paths]
    return command + more


def start_environments() -> subprocess.Popen[bytes]:
    """Start building what client programs run in."""
    command = [venv_program("python"), "-m", "tests.support.environments"]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def main(mode: str, more: list[str]) -> None:
    """Run the checks of `mode` ("all" or "quick"); become pytest when they pass."""
    quick = mode == "quick"
    environments = None if quick else start_environments()
    failed = [name for name, command in static_checks(quick=quick) if not run(name, command)]
    if environments is not None:
        waited = time.monotonic()
        if failed:
            environments.terminate()
        if environments.wait() != 0 and not failed:
            failed.append("environments of client programs")
        print(f"== environments: waited another {time.monotonic() - waited:.1f} s", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; no test was run")
    print("== tests", flush=True)
    os.chdir(ROOT)
    os.environ["PATH"] = os.pathsep.join([str(VENV / "bin"), os.environ["PATH"]])
    command = test_command(quick=quick, more=more)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

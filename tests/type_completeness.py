"""Share of the public symbols whose types are known, as editors see them; run by the tox env `types`."""

import json
import subprocess
import sys

LEAST = 0.95


def main() -> int:
    """Print the share, and the symbols whose types are unknown if it is too small."""
    command = ["basedpyright", "--pythonpath", sys.executable, "--ignoreexternal", "--outputjson"]
    run = subprocess.run([*command, "--verifytypes", "nbadam"], capture_output=True, text=True, check=False)
    report = json.loads(run.stdout)["typeCompleteness"]
    share = report["completenessScore"]
    unknown = [s["name"] for s in report["symbols"] if s["isExported"] and not s["isTypeKnown"]]
    print(f"{share:.1%} of {sum(report['exportedSymbolCounts'].values())} public symbols have known types")
    if share < LEAST:
        print(f"at least {LEAST:.0%} must; unknown or ambiguous:", *unknown, sep="\n  ")
    return 0 if share >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())

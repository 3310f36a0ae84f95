"""Workers of other libraries that die, notebooks that reload modules, interpreters without a GIL."""

import importlib.util
import sys

import pytest
from subprocesses import finish, needs_ordinary_kernels, run, share_cache, start

pytestmark = needs_ordinary_kernels


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs distributed")
def test_dask_with_a_worker_that_is_killed(tmp_path):
    """The scheduler sends the tasks of the dead worker to another, which gives the same bits."""
    program = """
        import os, signal, time
        import dask.array
        import numpy as np
        import nbadam
        from probes import bits, say

        x = np.linspace(0, 3, 20)

        def decay(x, a, k):
            return a * np.exp(-k * x)

        def late(block):
            time.sleep(0.3)
            return block

        if __name__ == "__main__":
            from dask.distributed import Client, LocalCluster

            y = decay(x, np.linspace(1, 12, 600)[:, None], 1.0) + 0.01 * np.sin(40 * x)
            expected = nbadam.curve_fit(decay, x, y, [1, 1])
            blocks = dask.array.from_array(y, chunks=(50, 20)).map_blocks(late)
            cluster = LocalCluster(
                n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, silence_logs=50
            )
            with cluster, Client(cluster) as client:
                victim = next(iter(client.run(os.getpid).values()))
                results = client.compute(list(nbadam.curve_fit(decay, x, blocks, [1, 1])))
                time.sleep(0.7)
                os.kill(victim, signal.SIGKILL)
                found = client.gather(results)
                alive = client.run(os.getpid).values()
            same = [bits(found[0]) == bits(expected.popt), bits(found[1]) == bits(expected.pcov)]
            say(same=same, killed=victim not in alive)
    """
    folder = share_cache(tmp_path)
    process = start(program, folder, DASK_DISTRIBUTED__ADMIN__TICK__LIMIT="1h")
    assert finish(process, timeout=300) == {"same": [True, True], "killed": True}


@pytest.mark.skipif(importlib.util.find_spec("IPython") is None, reason="needs IPython")
def test_autoreload_of_ipython(tmp_path):
    """A helper's number is edited between cells: the model of the next cell has it."""
    program = """
        import os, sys, time
        import numpy as np
        from pathlib import Path
        from IPython.core.interactiveshell import InteractiveShell
        from probes import say

        sys.path.insert(0, os.getcwd())
        shell = InteractiveShell.instance()
        shell.run_line_magic("load_ext", "autoreload")
        shell.run_line_magic("autoreload", "2")
        module = "def helper(x):\\n    return {} * x\\n\\ndef model(x, a):\\n    return a * helper(x)\\n"
        cells = "import numpy as np, nbadam, edited_later", "x = np.linspace(1, 2, 20)"
        found = []
        for number, factor in enumerate((1.0, 2.0, 4.0, 2.0)):
            Path("edited_later.py").write_text(module.format(factor))
            os.utime("edited_later.py", (number + 1, number + 1))  # which autoreload looks at
            for cell in cells if number == 0 else ():
                shell.run_cell(cell).raise_error()
            cell = "popt = nbadam.curve_fit(edited_later.model, x, 4 * x, p0=[1.0]).popt[0]"
            shell.run_cell(cell).raise_error()
            found.append(float(shell.user_ns["popt"]))
        say(found=found)
    """
    facts = run(program, share_cache(tmp_path), IPYTHONDIR=str(tmp_path / "ipython"))
    assert facts["found"] == pytest.approx([4, 2, 1, 2])


@pytest.mark.skipif(getattr(sys, "_is_gil_enabled", lambda: True)(), reason="needs a build without the GIL")
def test_threads_without_the_gil(tmp_path):
    program = """
        import threading
        from probes import say, work

        expected, results = work(), []
        threads = [threading.Thread(target=lambda: results.append(work())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        say(same=results == [expected] * 8)
    """
    assert run(program, share_cache(tmp_path)) == {"same": True}

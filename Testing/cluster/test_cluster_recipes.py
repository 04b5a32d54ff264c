"""The recipes for clusters make what they say, as far as that can be seen without one."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from distributed.cli import dask_scheduler, dask_worker
from distributed.security import Security

CLUSTER = Path(__file__).resolve().parents[2] / "Resources" / "Cluster"


@pytest.fixture
def slurm():
    spec = importlib.util.spec_from_file_location("slurm_recipe", CLUSTER / "slurm.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_job_of_slurm_has_one_worker_one_card_and_no_secret(slurm, tmp_path, monkeypatch):
    """Two series on one card run out of memory; a password in a job script is read by the whole computing centre."""
    monkeypatch.setenv("CTQA_PACS_PASSWORD", "Sesame-4711")
    asked = ["--share", str(tmp_path), "--queue", "gpu", "--gpus", "1", "--interface", "lo", "--scratch", str(tmp_path)]
    with slurm.cluster_of(slurm.options(asked)) as cluster:
        script = cluster.job_script()
        files = slurm.write_certificates(tmp_path, cluster.security)
        assert cluster.scheduler_address.startswith("tls://127.0.0.1:")
        assert cluster.scheduler.allowed_failures == 0
    for line in ("#SBATCH -p gpu", "#SBATCH --gpus=1", "#SBATCH --cpus-per-task=4", "#SBATCH --requeue"):
        assert line in script
    assert script.index("MALLOC_TRIM_THRESHOLD_=8589934592") < script.index("dask_worker")
    assert "--nthreads 1 " in script and "--nworkers" not in script and "dask_worker tls://" in script
    assert "Sesame-4711" not in script and "PRIVATE KEY" not in script
    assert {path.stat().st_mode & 0o077 for path in files.values()} == {0}
    assert set(files) == {"ca_file", "cert", "key"} and "PRIVATE KEY" in files["key"].read_text()


def test_only_who_has_the_keys_of_the_department_is_let_in(tmp_path):
    """Who reaches a scheduler without a key could run programs on every computer of the cluster."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    ours, theirs = (keys(tmp_path / name) for name in ("ours", "theirs"))
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "ours").iterdir()} == {0}
    assert {path.name for path in (tmp_path / "ours").iterdir()} == {"ca.pem", "cert.pem", "key.pem"}
    settings = {"n_workers": 0, "host": "127.0.0.1", "dashboard_address": None, "protocol": "tls://"}
    with LocalCluster(security=ours, **settings) as cluster:
        with Client(cluster.scheduler_address, security=ours, timeout=60) as client:
            assert client.scheduler_info()["address"].startswith("tls://")
        with pytest.raises(OSError):
            Client(cluster.scheduler_address, security=theirs, timeout=3)


def keys(folder: Path) -> Security:
    subprocess.run(["sh", CLUSTER / "certificates.sh", folder], check=True, timeout=120)
    files = {"tls_ca_file": "ca.pem", "tls_client_cert": "cert.pem", "tls_client_key": "key.pem"}
    files |= {"tls_scheduler_cert": "cert.pem", "tls_scheduler_key": "key.pem"}
    return Security(require_encryption=True, **{name: str(folder / file) for name, file in files.items()})


@pytest.mark.parametrize("name", ["ctqa-scheduler.service", "ctqa-worker@.service"])
def test_the_services_use_options_that_dask_has(name):
    """An option that another version of dask renamed would keep the whole cluster from starting."""
    command = next(line for line in (CLUSTER / name).read_text().splitlines() if line.startswith("ExecStart="))
    kind = dask_scheduler if "dask scheduler" in command else dask_worker
    known = {option for parameter in kind.main.params for option in (*parameter.opts, *parameter.secondary_opts)}
    used = [word for word in command.split() if word.startswith("--")]
    assert len(used) >= 6 and set(used) <= known

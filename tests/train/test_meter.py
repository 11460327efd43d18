"""Speed, share of the peak, memory and joules; what is known of GPUs."""

import math

import pytest

from hornbook.train.hardware import known_gpu, measured_peak
from hornbook.train.meter import Energy, Meter, find_energy, peak_memory


def counter(folder, name, joules, wraps_at=1000.0):
    path = folder / name
    path.mkdir(exist_ok=True)
    (path / "energy_uj").write_text(f"{int(joules * 1e6)}\n")
    (path / "max_energy_range_uj").write_text(f"{int(wraps_at * 1e6)}\n")
    return path


def test_a_step_in_numbers():
    meter = Meter(flops_per_token=6e6, peak=1e12, bytes_per_token=4.0, energy=None)
    found = meter.read(tokens=2000, seconds=0.5, loss=4 * math.log(2))
    assert found["tokens_per_second"] == 4000
    assert found["mfu"] == pytest.approx(4000 * 6e6 / 1e12)
    assert found["bits_per_byte"] == pytest.approx(1.0)
    assert 1e7 < found["memory"] < 1e12
    assert "joules" not in found


def test_memory_is_what_this_process_has_held():
    before = peak_memory()
    held = bytearray(300_000_000)
    assert peak_memory() >= max(before, 300_000_000)
    del held


def test_joules_add_up_over_processors_and_around_the_end_of_their_counters(tmp_path):
    counter(tmp_path, "intel-rapl:0", 990)
    counter(tmp_path, "intel-rapl:1", 5)
    counter(
        tmp_path, "intel-rapl:0:0", 77
    )  # a part of package 0, not to be counted twice
    energy = find_energy(tmp_path)
    assert isinstance(energy, Energy)
    counter(tmp_path, "intel-rapl:0", 10)  # 20 joules on: it wrapped at 1000
    counter(tmp_path, "intel-rapl:1", 8)
    energy._read_at = -math.inf
    assert energy.joules() == pytest.approx(23)


def test_counters_that_may_not_be_read_are_no_energy(tmp_path):
    assert find_energy(tmp_path) is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert find_energy(tmp_path) is None


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("Tesla T4", "T4"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("Radeon Whatever", None),
    ],
)
def test_gpus_are_known_by_how_their_driver_spells_them(spelled, name):
    gpu = known_gpu(spelled)
    assert (gpu and gpu.name) == name


def test_the_measured_peak_of_this_processor_is_a_plausible_one():
    assert 1e9 < measured_peak("float32", 0.05) < 1e14

"""The Triton kernels of depthwise convolutions against PyTorch's, in Triton's interpreter, which needs no GPU.

Without Triton they are skipped. TRITON_INTERPRET must be set before it is imported: in a process of its own.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "depthwise_study.py"
CHECK = f"""
import runpy, torch, torch.nn.functional as F
from torch import nn
study = runpy.run_path({str(TOOL)!r})
torch.manual_seed(0)
shapes = (2, 5, 6, 9, 3), (1, 14, 9, 40, 7), (1, 33, 4, 33, 7), (3, 1, 6, 8, 3), (1, 8, 1, 1, 3), (1, 4, 3, 1, 7)
for n, c, h, w, side in shapes:
    slices = torch.randn(n, c + 3, h, w).contiguous(memory_format=torch.channels_last)[:, 3:]
    for images in (slices, torch.randn(n, c, h, w), slices.contiguous(memory_format=torch.channels_last)):
        for bias in (None, torch.randn(c)):
            given = (images, torch.randn(c, 1, side, side), bias)
            ours = [each if each is None else each.detach().requires_grad_() for each in given]
            theirs = [each if each is None else each.detach().clone().requires_grad_() for each in ours]
            result, expected = study["depthwise"](*ours), F.conv2d(*theirs, 1, side // 2, 1, c)
            gradient = torch.randn_like(expected)
            result.backward(gradient)
            expected.backward(gradient)
            torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)
            for one, other in zip(ours, theirs):
                if one is not None:
                    torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-3)

plain = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 6, 3, padding=1))
changed = nn.Sequential(*plain)
before = dict(changed.named_parameters())
images = torch.randn(1, 4, 5, 6)
expected = plain(images)
study["use_depthwise"](changed)
assert [type(each).__name__ for each in changed] == ["DepthwiseConv2d", "Conv2d"]
assert dict(changed.named_parameters()) == before
torch.testing.assert_close(changed(images), expected, rtol=1e-4, atol=1e-4)
print("agree")
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
def test_kernels_and_gradients_are_the_convolution(tmp_path):
    script = tmp_path / "check.py"  # Triton reads the source of its kernels from files
    script.write_text(CHECK)
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    found = subprocess.run(
        [sys.executable, "-W", "ignore", script], env=environment, capture_output=True, text=True
    )
    assert found.stdout.endswith("agree\n"), found.stderr[-2000:]


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
def test_without_a_gpu_it_says_so(tmp_path):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    found = subprocess.run(
        [sys.executable, TOOL, "-o", tmp_path / "out"], env=environment, capture_output=True, text=True
    )
    assert found.returncode == 1 and "needs a GPU" in found.stderr and not (tmp_path / "out").exists()

"""`python -m twofold.run --as torch`: programs that say `import torch`, each in a process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(folder: Path, text: str, *arguments: str, name: str = "torch") -> str:
    """What the program prints; the test fails where it does."""
    program = folder / "program.py"
    program.write_text(textwrap.dedent(text), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "twofold.run", "--as", name, str(program), *arguments],
        capture_output=True, text=True, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_that_imports_torch_trains(tmp_path: Path) -> None:
    """Every spelling of the imports leads to the same modules, and the loss falls."""
    out = run(
        tmp_path,
        """
        import sys
        import torch
        import torch.nn as nn
        import torch.nn.functional as F
        from torch import optim
        from torch.optim.lr_scheduler import StepLR
        from torch.utils.data import DataLoader, TensorDataset

        assert torch.nn is nn and nn.functional is F and sys.modules["torch.nn"] is nn
        torch.manual_seed(0)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        x = torch.randn(64, 8)
        loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=16)
        model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1)).to(device)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        schedule = StepLR(optimizer, 10)
        losses = []
        for epoch in range(20):
            for inputs, targets in loader:
                optimizer.zero_grad()
                loss = F.mse_loss(model(inputs), targets)
                loss.backward()
                optimizer.step()
            schedule.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0] / 4, losses
        print(sys.argv[1:], __name__, model[0].weight.type())
        """,
        "--epochs", "3",
    )  # fmt: skip
    assert out == "['--epochs', '3'] __main__ torch.FloatTensor\n"


def test_a_module_runs_as_a_module(tmp_path: Path) -> None:
    """`-m package.module` runs what Python's own -m would."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "sizes.py").write_text("def side():\n    return 3\n", encoding="utf-8")
    (package / "train.py").write_text(
        "import sys, torch\nfrom .sizes import side\nprint(torch.ones(side()).sum().item())\n"
        "print(sys.argv[1:])\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "twofold.run", "--as", "torch", "-m", "package.train", "-x"],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout == "3.0\n['-x']\n"


def test_missing_names_say_what_is_near(tmp_path: Path) -> None:
    """A name or a module that is not there raises what Python raises, and names the nearest."""
    out = run(
        tmp_path,
        """
        import torch
        def fails(do):
            try:
                do()
            except (AttributeError, ImportError) as error:
                print(type(error).__name__, error)
        fails(lambda: torch.matmull)
        fails(lambda: torch.nn.Linaer)
        fails(lambda: __import__("torch.optimm"))
        fails(lambda: exec("from torch.nn import Conv2dd"))
        """,
    )
    lines = out.splitlines()
    assert lines[0] == (
        "AttributeError module 'torch' has no attribute 'matmull'; the nearest is 'matmul'"
    )
    assert lines[1].startswith("AttributeError") and "'Linear'" in lines[1]
    assert lines[2].startswith("ModuleNotFoundError No module named 'torch.optimm'")
    assert "'optim'" in lines[2]
    assert lines[3].startswith("ImportError")


def test_old_tensor_types(tmp_path: Path) -> None:
    """FloatTensor and the like make tensors, name dtypes and tell tensors apart."""
    out = run(
        tmp_path,
        """
        import torch
        x = torch.FloatTensor([1, 2])
        print(x.tolist(), x.type(), torch.LongTensor(2, 3).shape == (2, 3))
        print(isinstance(x, torch.FloatTensor), isinstance(x, torch.LongTensor))
        print(x.type(torch.LongTensor).dtype == torch.int64, x.type("torch.DoubleTensor").type())
        """,
    )
    assert out.splitlines() == [
        "[1.0, 2.0] torch.FloatTensor True",
        "True False",
        "True torch.DoubleTensor",
    ]


def test_no_gpu_is_said(tmp_path: Path) -> None:
    """What asks whether there is a GPU learns that there is none; what needs one fails."""
    out = run(
        tmp_path,
        """
        import torch
        import torch.backends.cudnn as cudnn
        cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.cuda.manual_seed_all(1)
        print(torch.cuda.is_available(), torch.cuda.device_count(), cudnn.is_available())
        print(torch.accelerator.current_accelerator(), torch.backends.mps.is_available())
        try:
            torch.cuda.synchronize()
        except RuntimeError as error:
            print(error)
        scaler = torch.cuda.amp.GradScaler(enabled=True)
        print(scaler.is_enabled(), scaler.scale(torch.ones(1)).item())
        """,
    )
    assert out.splitlines() == [
        "False 0 False",
        "None False",
        "[torch.cuda.synchronize] needs a GPU; this build has the device 'cpu' only",
        "False 1.0",
    ]


def test_only_some_packages_can_be_replaced(tmp_path: Path) -> None:
    """Another name, another version and a missing file are told, not run."""
    for name, program, said in (
        ("jax", "x.py", "takes the place of torch, torch==0.1, tensorflow==1, theano; got jax"),
        ("torch==1.7", "x.py", "torch==0.1"),
        ("torch", "x.py", "there is no file"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "twofold.run", "--as", name, program],
            capture_output=True, text=True, cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert said in done.stderr


OLD = """
    import torch
    from torch.autograd import Variable

    class Cube(torch.autograd.Function):
        def forward(self, x):
            self.save_for_backward(x)
            return x * x * x
        def backward(self, g):
            x, = self.saved_tensors
            return 3 * g * x * x

    x = Variable(torch.FloatTensor([[1, 2], [3, 4]]), requires_grad=False)
    w = Variable(torch.ones(2, 2).type(torch.FloatTensor), requires_grad=True)
    assert isinstance(w, Variable) and not x.volatile
    w.grad.data.zero_()
    loss = Cube()(x.mm(w)).sum()
    loss.backward()
    print(loss.data[0])
    print(w.grad.data.sum())
    w.data -= 0.5 * w.grad.data
    w.data.add_(-0.5, w.grad.data)
    print(w.data[0][0])
    print(tuple(x.sum(1).size()), tuple(x.max(1)[0].size()), tuple(x.norm(2, 0).size()))
    criterion = torch.nn.MSELoss(size_average=False)
    print(criterion(x, Variable(torch.zeros(2, 2))).data[0])
    print((torch.LongTensor([7]) / 2)[0], (1 - (x.data > 2)).sum())
    print(torch.addmm(2, x, 3, x, w.detach().fill_(1)).sum())
    net = torch.nn.Linear(2, 1)
    print(net.weight.grad.data.sum())
    test = Variable(torch.ones(3), volatile=True)
    print(test.volatile, test.requires_grad)
"""


def test_programs_of_2017(tmp_path: Path) -> None:
    """Variables, functions as instances, and what methods meant in 0.1."""
    values = run(tmp_path, OLD, name="torch==0.1").splitlines()
    assert [float(v) for v in values[:3]] == [740.0, 2220.0, -467.0]
    assert values[3:] == ["(2, 1) (2, 1) (1, 2)", "30.0", "3 2", "80.0", "0.0", "True False"]


def test_registered_ops_use_the_gradient_they_were_given(tmp_path: Path) -> None:
    """A gradient that is not the function's own, and a kernel that is never passed over."""
    out = run(
        tmp_path,
        """
        import torch

        @torch.library.custom_op("mine::rounded", mutates_args=())
        def rounded(x: torch.Tensor) -> torch.Tensor:
            return x.round()

        rounded.register_autograd(lambda ctx, g: g * 3)
        x = torch.tensor([0.4, 1.6], requires_grad=True)
        rounded(x).sum().backward()
        print(x.grad.tolist())
        torch.ops.mine.rounded(x).sum().backward()
        print(x.grad.tolist())

        @rounded.register_kernel("cpu")
        def _(x):
            return x.round() + 1

        print(rounded(x).tolist())
        lib = torch.library.Library("mine", "FRAGMENT")
        lib.impl("plain", lambda x: x)
        lib.impl("plain", lambda x: x * 2, "Autograd")
        try:
            torch.ops.mine.plain(x)
        except NotImplementedError as error:
            print("refused" if "Autograd" in str(error) else error)
        """,
    )
    assert out.splitlines() == ["[3.0, 3.0]", "[6.0, 6.0]", "[1.0, 3.0]", "refused"]


def test_switches_and_profiles_do_what_was_asked(tmp_path: Path) -> None:
    """What was set is what is answered, and what is to be called at the end is called."""
    out = run(
        tmp_path,
        """
        import torch

        torch.use_deterministic_algorithms(False)
        print(torch.are_deterministic_algorithms_enabled())
        with torch.profiler.profile(on_trace_ready=lambda p: print(len(p.events()))):
            with torch.profiler.record_function("block"):
                pass
        with torch.autograd.profiler.profile(enabled=False) as profile:
            with torch.profiler.record_function("block"):
                pass
        print(len(profile.events()))
        """,
    )
    assert out.splitlines() == ["False", "1", "0"]


def test_spawned_processes_run_on_twofold(tmp_path: Path) -> None:
    """A process that is spawned, not forked, has the hook, and says that nothing is shared."""
    out = run(
        tmp_path,
        """
        import warnings
        import torch
        import torch.multiprocessing as mp

        def work(model, x):
            model.weight.data.zero_()
            print(torch.Tensor.__module__, model(x).tolist(), flush=True)

        if __name__ == "__main__":
            mp.set_start_method("spawn", force=True)
            model = torch.nn.Linear(2, 1, bias=False)
            model.weight.data.fill_(3)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model.share_memory()
            print([str(w.message).split(";")[0] for w in caught], flush=True)
            process = mp.Process(target=work, args=(model, torch.ones(1, 2)))
            process.start()
            process.join()
            print(process.exitcode, model.weight.tolist())
        """,
    )
    assert out.splitlines() == [
        "['[share_memory_] processes get copies of tensors, and see no writes of one another']",
        "twofold.tensor [[0.0]]",
        "0 [[3.0, 3.0]]",
    ]


def test_layers_are_where_pytorch_has_them(tmp_path: Path) -> None:
    """Programs name the classes that a file may hold by their modules."""
    out = run(
        tmp_path,
        """
        import torch

        print(torch.nn.modules.pixelshuffle.PixelShuffle.__module__.split(".")[1:])
        print(torch.nn.modules.pixelshuffle.PixelUnshuffle is torch.nn.PixelUnshuffle)
        """,
    )
    assert out.splitlines() == ["['nn', 'modules', 'pixelshuffle']", "True"]


def test_tracebacks_hold_the_programs_own_lines(tmp_path: Path) -> None:
    """Neither the launcher's frames nor Twofold's are shown, unless they are asked for."""
    program = tmp_path / "program.py"
    program.write_text(
        "import torch\n\ndef f(x):\n    return x @ torch.ones(3)\n\ntry:\n    f(torch.ones(2, 4))\n"
        "except RuntimeError as error:\n    raise ValueError('later') from error\n",
        encoding="utf-8",
    )

    def error(debug: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "twofold.run", "--as", "torch", str(program)],
            capture_output=True, text=True, timeout=120,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TWOFOLD_DEBUG": debug},
        )  # fmt: skip
        assert done.returncode == 1
        return done.stderr

    lines = error("0").splitlines()
    files = [line.partition(",")[0].strip() for line in lines if line.startswith("  File ")]
    assert files == [f'File "{program}"'] * 3
    assert re.fullmatch(r"\(frames of Twofold left out: \d+; TWOFOLD_DEBUG=1 .*\)", lines[-1])
    assert lines[-2] == "ValueError: later"
    assert "launch.py" in error("1")


def test_types_and_shapes_print_as_pytorchs(tmp_path: Path) -> None:
    """Programs print them, compare their texts and cut them at dots."""
    out = run(
        tmp_path,
        """
        import torch

        x = torch.ones(2, 3, dtype=torch.float64)
        print(x.shape, x.dtype, x.layout, torch.channels_last, torch.finfo(x.dtype).dtype)
        print(x[0], {"kind": x.dtype})
        """,
    )
    assert out.splitlines() == [
        "torch.Size([2, 3]) torch.float64 torch.strided torch.channels_last float64",
        "tensor([1., 1., 1.], dtype=torch.float64) {'kind': torch.float64}",
    ]


def test_the_program_is_main_and_stays_it(tmp_path: Path) -> None:
    """Its file is a whole path, and its classes are found when its last line has run."""
    out = run(
        tmp_path,
        """
        import os, pickle, threading, time
        import torch

        class Own:
            pass

        def late():
            threading.main_thread().join()
            print(type(pickle.loads(pickle.dumps(Own()))) is Own)

        threading.Thread(target=late).start()
        print(os.path.isabs(__file__), __name__, __spec__, "annotations" in globals())
        """,
    )
    assert out.splitlines() == ["True __main__ None False", "True"]

"""What the sources publish, written down from their code and papers, not from ours.

Every row names where it was read. That is a file of the authors' repository with its line, or a
section of the paper.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest

import ddcore as dd
from ddcore.errors import UnknownNameError
from ddcore.evaluation import PROTOCOLS
from ddcore.images import (
    FAMILIES,
    Chain,
    ConvNet,
    ImageSpec,
    Pixels,
    RandomResizedCrop,
    RandomRoll,
    ResNet18,
    SiameseAugmentation,
)
from ddcore.kernels import AnalyticKernel
from ddcore.matching import GradientMatching, KernelRegression, UnrolledTraining
from ddcore.methods import METHODS, build_method
from ddcore.parts import suited_architecture
from ddcore.sources import OneNetwork
from tests.running import started

Row = tuple[str, str | None, int, dict[str, Any], str]

DC = "VICO-UoE/DatasetCondensation "
IDC = "snu-mllab/Efficient-Dataset-Condensation "
MTT = (
    "GeorgeCazenavette/mtt-distillation, its commands as justincui03/dc_benchmark methods/tm/readme.md has them, line "
)
DATM = "NUS-HPC-AI-Lab/DATM configs/"
FTD = "AngusDujw/FTD-distillation docs/parameters.png; CIFAR is whitened in buffer/run_buffer.sh:2"
HABA = "Huage001/DatasetFactorization "
LINBA = "princetonvisualai/RememberThePast-DatasetDistillation "
FREPO = "yongchaoz/FRePo "
RCIG = "yolky/RCIG "
SRE2L = "VILA-Lab/SRe2L "
GVBSM = "shaoshitong/G_VBSM_Dataset_Condensation "
WHOLE = RandomResizedCrop(scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), mirror=0.5)
SHRINKING = RandomResizedCrop(scale=(1.0, 1.0), ratio=(3 / 4, 4 / 3), mirror=0.5, ends_at=0.08, ends_by=1.0)


def loops(name: str, source: str, table: dict[int, tuple[int, int]]) -> list[Row]:
    return [
        (name, None, ipc, {"networks.outer": outer, "networks.inner": inner, "steps": 1000 * outer}, source)
        for ipc, (outer, inner) in table.items()
    ]


def recovered(
    name: str, data: str, source: str, *, weight: float, rate: float, steps: int, moved: tuple[Any, ...]
) -> Row:
    wanted = {
        "matching.weight": weight,
        "matching.first": 10.0,
        "matching.batch_size": 100,
        "optimiser.kind": "adam",
        "optimiser.betas": (0.5, 0.9),
        "optimiser.learning_rate": rate,
        "optimiser.schedule": "cosine",
        "steps": steps,
        "augmentation": Chain(moved),
        "factorization.init": "noise",
        "factorization.clip": True,
    }
    if data == "imagenet":
        wanted |= {"labels.temperature": 20.0, "labels.epochs": 300, "labels.batch_size": 1024}
    return (name, data, 50, wanted, SRE2L + source)


def trajectory(
    name: str,
    data: str,
    ipc: int,
    source: str,
    *,
    n: int,
    m: int,
    start: int,
    images: float,
    step: float,
    **further: Any,
) -> Row:
    first, zca, batch = further.pop("first", 0.01), further.pop("zca"), further.pop("batch", None)
    wanted = {
        "matching.inner_steps": n,
        "matching.synthetic_batch": None,
        "matching.synthetic_total": batch,
        "matching.step_sizes.initial": first,
        "networks.length": m,
        "networks.last_start": start,
        "optimiser.kind": "sgd",
        "optimiser.learning_rate": images,
        "optimiser.group_learning_rates.step_sizes": step,
        "normalisation": "zca" if zca else None,
    }
    return name, data, ipc, wanted | further, source


CLASSWISE = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}
SGD = {"optimiser.kind": "sgd", "optimiser.learning_rate": 0.1, "optimiser.momentum": 0.5}
EXPERTS = {
    "networks.count": 100,
    "networks.first_start": 0,
    "networks.training.epochs": 50,
    "networks.training.learning_rate": 0.01,
    "networks.training.batch_size": 256,
}

ROWS: list[Row] = [
    # Gradient matching.
    *loops("dc", DC + "utils.py:275-293, main.py:23", CLASSWISE),
    *loops("dsa", DC + "utils.py:275-293, main.py:23", CLASSWISE),
    *loops("dcc", "Saehyung-Lee/DCC utils.py:428-446, main.py:30", {**CLASSWISE, 1: (10, 5)}),
    ("dc", None, 10, {**SGD, "matching.real_batch": 256, "factorization.init": "noise"}, DC + "main.py:24-28, 100"),
    ("dsa", None, 10, {**SGD, "matching.real_batch": 256, "factorization.init": "random"}, DC + "readme.md:110"),
    ("dcc", None, 10, {"matching.warmup_networks": 250, "matching.warmup_age": 10}, "Saehyung-Lee/DCC main.py:20-21"),
    ("dcc", None, 10, {**SGD, "matching.real_batch": 256}, "Saehyung-Lee/DCC main.py:31-33, 113"),
    *(
        (
            "psg",
            None,
            ipc,
            {"steps": 1000 * outer * 10, "networks.steps_per_state": 10},
            "DingfanChen/Private-Set main.py:42-45",
        )
        for ipc, (outer, _) in {**CLASSWISE, 100: (50, 10)}.items()
    ),
    (
        "psg",
        None,
        10,
        {**SGD, "matching.real_total": 256, "factorization.init": "noise"},
        "DingfanChen/Private-Set main.py:46-50, 121",
    ),
    (
        "linear_gradient_matching",
        None,
        1,
        {
            "steps": 5000,
            "optimiser.kind": "adam",
            "optimiser.learning_rate": 2e-3,
            "factorization.every": 200,
            "factorization.decorrelated": True,
            "factorization.init": "noise",
            "matching.distance": "vector_cosine",
            "matching.groups": "joint",
            "matching.real_batch": 10,
            "networks.std": 0.01,
        },
        "GeorgeCazenavette/linear-gradient-matching src/config/distill_config.py:18-33, src/distillation/linear_gm.py:39",
    ),
    # Characteristic functions.
    *(
        (
            "ncfm",
            data,
            ipc,
            {
                "steps": 20_000,
                "optimiser.kind": kind,
                "optimiser.learning_rate": rate,
                "matching.real_batch": 1024,
                "matching.calibration": 1.0,
                "matching.distance.frequencies": 4096,
                "matching.distance.amplitude": 0.5,
                "matching.distance.phase": 0.5,
                "matching.distance.weight": 300.0,
                "matching.distance.sampler": None,
                "factorization.factor": 2,
                "networks.count": 20,
                "networks.length": 60,
                "networks.last_start": 1,
                "networks.mixed": True,
                "networks.training.epochs": 60,
                "networks.training.batch_size": 128,
                "networks.training.learning_rate": 0.01,
                "networks.training.momentum": 0.9,
                "networks.training.weight_decay": 5e-4,
            },
            f"gszfwsb/NCFM config/ipc{ipc}/{data}.yaml, NCFM/NCFM.py:78, utils/utils.py:440",
        )
        for data in ("cifar10", "cifar100", "tinyimagenet")
        for ipc in (1, 10, 50)
        for kind, rate in (("sgd", 0.01) if (data, ipc) == ("cifar100", 10) else ("adam", 0.001),)
    ),
    # Multi-formation.
    *(
        (
            "idc",
            data,
            ipc,
            {"optimiser.learning_rate": rate, "matching.distance": distance},
            IDC + "argument.py:54-68, misc/reproduce.py:11-33",
        )
        for data, distance, rates in (
            ("cifar10", "mse", {1: 5e-4, 10: 5e-3, 50: 2.5e-2}),
            ("cifar100", "mse", {1: 5e-4, 10: 5e-3, 50: 2.5e-2}),
            ("svhn", "mse", {1: 5e-4, 10: 5e-3, 50: 2.5e-2}),
            ("mnist", "l1", {1: 1e-5, 10: 1e-4, 50: 5e-4}),
            ("fashion-mnist", "l1", {1: 7.65625e-6, 10: 7.65625e-5, 50: 3.828125e-4}),
        )
        for ipc, rate in rates.items()
    ),
    *(
        (
            "idc",
            data,
            10,
            {"networks.examples": examples, "networks.batch_size": 64},
            IDC + "misc/reproduce.py:11-33, train.py:250",
        )
        for data, examples in (
            ("cifar10", 32 * 64),
            ("cifar100", 32 * 64),
            ("svhn", 8 * 64),
            ("mnist", 8 * 64),
            ("fashion-mnist", 8 * 64),
        )
    ),
    (
        "idc",
        "cifar10",
        10,
        {"factorization.clamp_every": 100, "networks.outer": 100, "steps": 200_000},
        IDC + "condense.py:521-522",
    ),
    (
        "idc",
        "cifar10",
        10,
        {"matching.real_batch": 64, "matching.synthetic_batch": 128, "matching.layers": "conv"},
        IDC + "argument.py:190-225",
    ),
    (
        "idc",
        "cifar10",
        10,
        {"optimiser.momentum": 0.5, "matching.update_per_class": True},
        IDC + "argument.py:231, condense.py:526",
    ),
    # Distribution matching.
    *(
        ("dm", data, ipc, {"optimiser.learning_rate": rate}, DC + "readme.md:176-177")
        for data, rates in (
            ("cifar10", {1: 1.0, 10: 1.0, 50: 1.0, 100: 10.0, 1000: 10.0}),
            ("cifar100", {1: 1.0, 10: 1.0, 50: 1.0, 100: 1.0}),
        )
        for ipc, rate in rates.items()
    ),
    (
        "dm",
        None,
        10,
        {"steps": 20_000, "optimiser.momentum": 0.5, "matching.real_batch": 256, "factorization.init": "random"},
        DC + "main_DM.py:22-27, 102",
    ),
    (
        "cafe",
        None,
        10,
        {**SGD, "optimiser.drops": (0.6, 0.8, 0.9), "optimiser.drop": 0.5},
        "kaiwang960112/CAFE distill.py:40-46, 71, 164",
    ),
    (
        "cafe",
        None,
        10,
        {"networks.plateau.still": 0.04, "networks.plateau.moving": 0.03, "networks.plateau.window": 10},
        "kaiwang960112/CAFE distill.py:86-87, 306-315",
    ),
    (
        "cafe",
        None,
        10,
        {"networks.plateau.carried": True, "networks.plateau.examples": 128},
        "kaiwang960112/CAFE distill.py:300-306",
    ),
    # Trajectories.
    trajectory("mtt", "cifar10", 1, MTT + "48", n=50, m=2, start=2, images=100, step=1e-7, zca=True, **EXPERTS),
    trajectory("mtt", "cifar10", 10, MTT + "52", n=30, m=2, start=20, images=100, step=1e-5, first=0.001, zca=True),
    trajectory("mtt", "cifar10", 50, MTT + "56", n=30, m=2, start=40, images=1000, step=1e-5, first=0.001, zca=False),
    trajectory("mtt", "cifar100", 1, MTT + "61", n=20, m=3, start=20, images=1000, step=1e-5, zca=True),
    trajectory("mtt", "cifar100", 10, MTT + "65", n=20, m=2, start=20, images=1000, step=1e-5, zca=False),
    trajectory("mtt", "cifar100", 50, MTT + "69", n=80, m=2, start=40, images=1000, step=1e-5, batch=125, zca=True),
    trajectory("mtt", "tiny-imagenet", 1, MTT + "74", n=10, m=2, start=10, images=1e4, step=1e-4, zca=False),
    trajectory(
        "mtt", "tiny-imagenet", 10, MTT + "78", n=20, m=2, start=40, images=1e4, step=1e-4, batch=200, zca=False
    ),
    trajectory(
        "mtt", "tiny-imagenet", 50, MTT + "82", n=20, m=2, start=40, images=1e4, step=1e-4, batch=300, zca=False
    ),
    (
        "mtt",
        "cifar10",
        10,
        {"steps": 5000, "optimiser.momentum": 0.5, "matching.gradient": "reverse"},
        "GeorgeCazenavette/mtt-distillation distill.py:138, 431",
    ),
    # The published rate of the images is 1000. The published code's gradient is half of the loss's
    # (tesla/distill.py:418).
    trajectory(
        "tesla",
        "cifar10",
        1,
        "justincui03/tesla README.md:38",
        n=50,
        m=2,
        start=5,
        images=1000 / 2,
        step=1e-7,
        zca=False,
        steps=10_000,
    ),
    trajectory(
        "tesla",
        "cifar100",
        50,
        "justincui03/tesla README.md:42",
        n=80,
        m=2,
        start=40,
        images=1000 / 2,
        step=1e-5,
        batch=125,
        zca=True,
        steps=10_000,
    ),
    trajectory(
        "ftd", "cifar10", 1, FTD, n=50, m=2, start=2, images=100, step=1e-7, zca=True, **{"networks.training.gap": 0.3}
    ),
    trajectory(
        "ftd",
        "cifar10",
        10,
        FTD,
        n=30,
        m=2,
        start=20,
        images=100,
        step=1e-5,
        first=0.001,
        zca=True,
        **{"networks.training.gap": 0.3},
    ),
    trajectory(
        "ftd",
        "cifar10",
        50,
        FTD,
        n=30,
        m=2,
        start=40,
        images=1000,
        step=1e-5,
        zca=True,
        **{"networks.training.gap": 1.0},
    ),
    trajectory(
        "ftd",
        "cifar100",
        1,
        FTD,
        n=40,
        m=3,
        start=20,
        images=1000,
        step=1e-5,
        zca=True,
        **{"networks.training.gap": 1.0},
    ),
    trajectory(
        "ftd",
        "cifar100",
        10,
        FTD,
        n=20,
        m=2,
        start=40,
        images=1000,
        step=1e-5,
        zca=True,
        **{"networks.training.gap": 1.0},
    ),
    trajectory("ftd", "cifar100", 50, FTD, n=80, m=2, start=40, images=1000, step=1e-5, batch=1000, zca=True),
    trajectory("ftd", "tiny-imagenet", 1, FTD, n=30, m=2, start=10, images=1e4, step=1e-4, zca=False),
    trajectory("ftd", "tiny-imagenet", 10, FTD, n=20, m=2, start=40, images=1e4, step=1e-4, batch=500, zca=False),
    (
        "ftd",
        "cifar10",
        10,
        {"networks.training.sharpness": 0.01, "steps": 5000},
        "AngusDujw/FTD-distillation buffer/run_buffer.sh:4",
    ),
    *(
        trajectory(
            "datm",
            data,
            ipc,
            DATM + where,
            n=n,
            m=m,
            start=start,
            images=images,
            step=step,
            zca=True,
            batch=batch,
            steps=10_000,
            **{
                "optimiser.group_learning_rates.labels": labels,
                "optimiser.group_momenta.labels": 0.9,
                "networks.first_start": first_start,
                "networks.early_last_start": early,
                "networks.growth": pytest.approx(growth / 10_000),
            },
        )
        for data, ipc, where, n, m, first_start, early, start, growth, images, step, labels, batch in (
            ("cifar10", 1, "CIFAR-10/ConvIN/IPC1.yaml", 80, 2, 0, None, 4, 0, 100, 1e-7, 5, None),
            ("cifar10", 10, "CIFAR-10/ConvIN/IPC10.yaml", 80, 2, 0, 10, 20, 1000, 100, 1e-5, 2, None),
            ("cifar10", 50, "CIFAR-10/ConvIN/IPC50.yaml", 80, 2, 0, 20, 40, 2000, 1000, 1e-5, 2, None),
            ("cifar10", 500, "CIFAR-10/ConvIN/IPC500.yaml", 40, 2, 40, None, 60, 0, 50, 1e-5, 10, 1000),
            ("cifar10", 1000, "CIFAR-10/ConvIN/IPC1000.yaml", 100, 2, 40, None, 60, 0, 50, 1e-5, 10, 1000),
            ("cifar100", 1, "CIFAR-100/ConvIN/IPC1.yaml", 40, 3, 0, 10, 20, 1000, 1000, 1e-5, 10, None),
            ("cifar100", 10, "CIFAR-100/ConvIN/IPC10.yaml", 80, 2, 0, 30, 50, 2000, 1000, 1e-5, 10, None),
            ("cifar100", 50, "CIFAR-100/ConvIN/IPC50.yaml", 80, 2, 20, None, 70, 0, 1000, 1e-5, 10, 1000),
            ("cifar100", 100, "CIFAR-100/ConvIN/IPC100.yaml", 80, 2, 30, None, 70, 0, 50, 1e-5, 10, 1000),
            ("tiny-imagenet", 1, "TinyImageNet/ConvIN/IPC1.yaml", 40, 2, 0, 15, 20, 2000, 1e4, 1e-4, 10, None),
            ("tiny-imagenet", 10, "TinyImageNet/ConvIN/IPC10.yaml", 40, 2, 10, None, 50, 0, 100, 1e-4, 10, 500),
            ("tiny-imagenet", 50, "TinyImageNet/ConvIN/IPC50.yaml", 20, 2, 40, None, 70, 0, 100, 1e-4, 10, 1000),
        )
    ),
    *(
        (
            "haba",
            "cifar10",
            ipc,
            {
                "matching.inner_steps": n,
                "networks.last_start": start,
                "networks.length": 2,
                "optimiser.learning_rate": 100.0,
                "optimiser.momentum": 0.95,
                "optimiser.group_learning_rates": {"step_sizes": step, "adversary": 1e-3},
                "optimiser.group_momenta": {"step_sizes": 0.9, "adversary": 0.9},
                "matching.step_sizes.initial": first,
                "matching.step_sizes.floor": 0.001,
                "factorization.hallucinators": 5,
                "normalisation": "zca",
                "steps": 15_000,
            },
            HABA + "distill_fac.py:123-126, 386, 458; scripts",
        )
        for ipc, n, start, step, first in ((1, 50, 2, 1e-7, 0.01), (10, 30, 20, 1e-5, 0.001), (50, 30, 20, 1e-5, 0.01))
    ),
    # Unrolled training.
    *(
        ("linba_no_factorization", data, 1, {"normalisation": zca}, LINBA + "utils/data_utils.py:258-414")
        for data, zca in (
            ("cifar10", "zca-unit"),
            ("cifar100", "zca-unit"),
            ("svhn", "zca-unit(regularisation=100)"),
            ("mnist", None),
        )
    ),
    (
        "linba_no_factorization",
        "cifar10",
        1,
        {
            **SGD,
            "optimiser.clip": 2.0,
            "factorization.init": "glorot",
            "matching.inner_steps": 150,
            "matching.momentum": 0.9,
            "matching.step_sizes.initial": 0.01,
            "matching.real_batch": 64,
        },
        LINBA + "README.md:26, compressors/imgs_embedding_minibatch.py:33-40, runners/sgld_runner_standard.py:216",
    ),
    ("linba_no_factorization", "cifar10", 50, {"matching.synthetic_batch": 10}, LINBA + "README.md:26"),
    ("linba", "cifar10", 1, {"normalisation": None, "matching.synthetic_batch": 32}, LINBA + "README.md:32"),
    *(
        (
            "dd",
            data,
            10,
            {"steps": steps, "matching.step_sizes.initial": first, "matching.real_total": 1024},
            "SsnL/dataset-distillation base_options.py:212-248, README.md:68, 89",
        )
        for data, steps, first in (("mnist", 400 * 59, 0.02), ("cifar10", 400 * 49, 0.001))
    ),
    (
        "dd",
        None,
        10,
        {"matching.inner_steps": 30, "optimiser.betas": (0.5, 0.999), "optimiser.learning_rate": 0.01},
        "SsnL/dataset-distillation base_options.py:224-267",
    ),
    (
        "gtn",
        None,
        10,
        {"steps": 2000, "optimiser.learning_rate": 0.02, "optimiser.final": 0.1, "matching.real_total": 128},
        "uber-research/GTN experiments/cgtn.json",
    ),
    # Kernels.
    *(
        ("frepo", data, ipc, {"matching.mirrored": mirrored}, FREPO + "script/distill.py:147-189")
        for data, ipc, mirrored in (
            ("fashion-mnist", 1, False),
            ("fashion-mnist", 10, False),
            ("cifar10", 1, True),
            ("cifar10", 50, True),
            ("cifar100", 1, True),
            ("cifar100", 10, False),
            ("cifar100", 50, False),
            ("tiny-imagenet", 1, True),
            ("tiny-imagenet", 10, False),
        )
    ),
    *(
        ("frepo", data, 10, {"normalisation": zca}, FREPO + "lib/dataset/dataloader.py:75-78")
        for data, zca in (
            ("mnist", None),
            ("fashion-mnist", None),
            ("cifar10", "zca-standard"),
            ("cifar100", "zca-standard"),
        )
    ),
    (
        "frepo",
        "cifar10",
        10,
        {
            "steps": 500_000,
            "optimiser.kind": "lamb",
            "optimiser.learning_rate": 3e-4,
            "optimiser.schedule": "cosine",
            "optimiser.final": 0.1,
            "networks.size": 10,
            "networks.max_age": 102,
            "networks.batch_size": 1000,
            "networks.learning_rate": 3e-4,
            "networks.architecture.init": "lecun",
            "networks.architecture.widening": 2,
            "matching.ridge": 1e-6,
            "matching.real_total": 1024,
        },
        FREPO + "script/distill.py:63-72, lib/datadistillation/frepo.py:85, 110, 359-416, 509",
    ),
    *(
        ("rfad", data, 10, {"normalisation": zca}, "yolky/RFAD run_distillation.py:45-72, data.py:134-155")
        for data, zca in (("mnist", None), ("cifar10", "zca-uncentred"), ("cifar100", "zca-uncentred"))
    ),
    (
        "rfad",
        "mnist",
        10,
        {
            "matching.real_total": 5120,
            "matching.ridge": 5e-3,
            "networks.count": 8,
            "networks.architecture.width": 256,
            "networks.architecture.init": "he",
            "networks.architecture.pad_grey": False,
            "optimiser.learning_rate": 1e-3,
            "optimiser.group_learning_rates": {"transform": 5e-5, "platt": 0.01},
        },
        "yolky/RFAD run_distillation.py:26-32, models.py:140-169, distillation.py:37-72",
    ),
    (
        "rcig",
        "cifar10",
        10,
        {
            "steps": 10_000,
            "matching.ridge": 5e-4,
            "matching.solver": "adam",
            "matching.solver_steps": 20,
            "matching.clip": True,
            "matching.loss": "platt",
            "matching.label_margin": True,
            "matching.real_total": 1024,
            "networks.size": 30,
            "networks.max_age": 100,
            "networks.most_updates": 15,
            "networks.staggered": False,
            "networks.learning_rate": 5e-5,
            "networks.loss": "squared_error",
            "networks.architecture": ConvNet(norm="none", widening=2, init="lecun", activation="softplus"),
            "factorization.labels": "soft",
            "factorization.label_init": "centred",
            "optimiser.kind": "adabelief",
            "optimiser.learning_rate": 3e-3,
            "optimiser.group_learning_rates": {"platt": 0.03},
            "optimiser.average": 0.99,
            "optimiser.schedule": "constant",
        },
        RCIG + "configs_final/depth_3.txt, distill_dataset.py:87, 107, 193, algorithms.py:99-100, 265, 580-595",
    ),
    *(
        ("rcig", data, ipc, {"matching.mirrored": mirrored, "normalisation": zca}, RCIG + source)
        for data, ipc, mirrored, zca, source in (
            ("mnist", 1, False, None, "configs_final/depth_3_no_flip.txt, dataloader.py:76"),
            ("fashion-mnist", 10, False, None, "configs_final/depth_3_no_flip.txt, dataloader.py:76"),
            ("cifar100", 10, True, "zca-standard", "configs_final/depth_3.txt, dataloader.py:79"),
            ("cifar100", 50, False, "zca-standard", "configs_final/cifar100_50.txt, dataloader.py:79"),
            ("tiny-imagenet", 1, True, "zca-standard", "configs_final/depth_4_200.txt, dataloader.py:79"),
            ("tiny-imagenet", 10, False, "zca-standard", "configs_final/depth_4_big.txt, dataloader.py:79"),
        )
    ),
    ("rcig", "tiny-imagenet", 1, {"networks.architecture.activation": "relu"}, RCIG + "configs_final/depth_4_200.txt"),
    (
        "kip",
        "cifar10",
        10,
        {"matching.real_total": 5000, "matching.ridge": 1e-6, "optimiser.learning_rate": 0.04},
        "google-research kip/KIP.ipynb",
    ),
    *(
        recovered("sre2l", data, source, weight=weight, rate=rate, steps=steps, moved=moved)
        for data, weight, rate, steps, moved, source in (
            (
                "imagenet",
                0.01,
                0.25,
                4000,
                (WHOLE, RandomRoll(32)),
                "SRe2L/recover/recover.sh, data_synthesis.py:55-104",
            ),
            ("tiny-imagenet", 1.0, 0.1, 4000, (WHOLE, RandomRoll(4)), "*small_dataset/recover_tiny.sh, .py:49-58"),
            ("cifar100", 0.01, 0.25, 1000, (RandomRoll(4),), "*small_dataset/recover_cifar.sh, .py:78-81"),
        )
    ),
    *(
        recovered("cda", data, source, weight=weight, rate=rate, steps=4000, moved=(SHRINKING, RandomRoll(roll)))
        for data, weight, rate, roll, source in (
            ("imagenet", 0.01, 0.25, 32, "CDA/README.md, recover_cda_in1k.py:54-66"),
            ("tiny-imagenet", 0.05, 0.4, 4, "CDA/README.md, recover_cda_tiny.py:53-65"),
        )
    ),
    *(
        (
            "g_vbsm",
            data,
            10,
            {
                "matching.weight": 0.01,
                "matching.first": 10.0,
                "matching.density": 1.0,
                "matching.batch_size": batch,
                "matching.momentum": momentum,
                "matching.drop": drop,
                "matching.patch": patch,
                "optimiser.learning_rate": rate,
                "optimiser.betas": (0.5, 0.9),
                "optimiser.schedule": "cosine",
                "steps": 4000,
                "factorization.init": "noise",
            },
            GVBSM + source,
        )
        for data, rate, batch, momentum, drop, patch, source in (
            ("cifar10", 0.05, 100, 0.8, 0.4, 4, "Branch_CIFAR_10/recover, :186-189, 296-312"),
            ("tiny-imagenet", 0.05, 100, 0.8, 0.4, 4, "Branch_Tiny_ImageNet/recover"),
            ("imagenet", 0.1, 80, 0.4, 0.0, 16, "Branch_full_ImageNet_1k/recover"),
        )
    ),
    *(
        (
            "rded",
            data,
            10,
            {
                "factorization.factor": factor,
                "factorization.init.candidates": 300,
                "factorization.init.crops": 5,
                "factorization.init.smallest": 0.08,
                "labels.kind": "teacher",
                "labels.temperature": 20.0,
            },
            "LINs-lab/RDED scripts/, synthesize/utils.py:54-70, argument.py:271-274",
        )
        for data, factor in (("cifar10", 1), ("cifar100", 1), ("tiny-imagenet", 1), ("imagenette", 2), ("imagenet", 2))
    ),
    # Evaluation.
    *(
        (name, data, 10, {"protocol": protocol}, source)
        for name, data, protocol, source in (
            ("dc", "mnist", "dc-mnist", DC + "utils.py:439, main.py:120"),
            ("dc", "fashion-mnist", "dc", DC + "utils.py:439"),
            ("psg", "mnist", "dc-mnist", "DingfanChen/Private-Set misc.py:220"),
            ("psg", "fashion-mnist", "dc-mnist", "DingfanChen/Private-Set misc.py:220"),
            ("psg", "cifar10", "dc", "DingfanChen/Private-Set main.py:216"),
            ("dsa", "mnist", "dsa", DC + "main.py:111"),
            ("dm", "cifar10", "dsa", DC + "main_DM.py:21"),
            ("idc", "cifar10", "idc", IDC + "argument.py:437-457"),
            ("idc", "mnist", "idc-mnist", IDC + "test.py:53-56"),
            ("idc_i", "mnist", "idc", IDC + "test.py:44-56"),
            ("cafe", "cifar10", "cafe", "kaiwang960112/CAFE distill.py:179-193"),
            ("linba", "cifar10", "linba", LINBA + "tools/evaluator.py:47-65"),
            ("linba_no_factorization", "cifar10", "linba", LINBA + "tools/evaluator.py:47-65"),
            ("mtt", "cifar10", "dsa", "GeorgeCazenavette/mtt-distillation utils.py:356-371"),
            ("datm", "cifar10", "datm", DATM),
            ("frepo", "cifar10", "frepo", FREPO + "script/eval.py:128-231"),
            ("frepo", "fashion-mnist", "frepo-grey", FREPO + "script/eval.py:164-166"),
            ("it_gan", "cifar10", "it-gan", "VICO-UoE/IT-GAN ITGAN_Evaluate.py:14-21"),
            ("rcig", "cifar10", "frepo", RCIG + "eval.py:150-190, but for the learning rate"),
            ("kip", "cifar10", "krr", "google-research kip/KIP.ipynb"),
        )
    ),
]


def value_at(settings: Any, path: str) -> Any:
    def step(inner: Any, name: str) -> Any:
        return inner[name] if isinstance(inner, dict) else getattr(inner, name)

    return reduce(step, path.split("."), settings)


@pytest.mark.parametrize(
    ("name", "data", "ipc", "wanted", "source"), ROWS, ids=[f"{r[0]}-{r[1]}-{r[2]}-{i}" for i, r in enumerate(ROWS)]
)
def test_the_preset_paper_is_what_the_source_says(
    name: str, data: str | None, ipc: int, wanted: dict[str, Any], source: str
) -> None:
    method = METHODS[name].at(ipc, "paper", data)
    assert {path: value_at(method, path) for path in wanted} == wanted, source


EVALUATIONS: list[tuple[str, dict[str, Any], str]] = [
    (
        "dc",
        {
            "epochs": 300,
            "learning_rate": 0.01,
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "batch_size": 256,
            "drop_at": 0.5,
            "drop": 0.1,
        },
        DC + "utils.py:341-355",
    ),
    (
        "dc-mnist",
        {"epochs": 1000, "augmentation.shift": 4, "augmentation.scale": 0.2, "augmentation.turn": 45.0},
        DC + "utils.py:433-440",
    ),
    ("dsa", {"epochs": 1000, "batch_size": 256, "augmentation": SiameseAugmentation()}, DC + "main.py:111"),
    ("cafe", {"epochs": 600, "batch_size": 256}, "kaiwang960112/CAFE distill.py:179-193"),
    (
        "idc",
        {"epochs": 1000, "batch_size": 64, "drop_at": (2 / 3, 5 / 6), "drop": 0.2, "restart": False},
        IDC + "train.py:104-110, argument.py:120",
    ),
    (
        "linba",
        {"epochs": 300, "batch_size": 640, "weight_decay": 0.0, "drop_at": 1.0, "momentum": 0.9},
        LINBA + "tools/evaluator.py:47-65, tools/trainer.py:150",
    ),
    ("datm", {"epochs": 1000, "batch_size": 128}, DATM),
    ("it-gan", {"epochs": 200, "batch_size": 256, "drop_at": 0.5}, "VICO-UoE/IT-GAN ITGAN_Evaluate.py:16-19, 252-262"),
    (
        "frepo",
        {"optimiser": "adam", "learning_rate": 3e-4, "warmup": 500, "cosine": 0.01, "batch_size": 500},
        FREPO + "script/eval.py:128-231",
    ),
]


@pytest.mark.parametrize(("name", "wanted", "source"), EVALUATIONS, ids=[row[0] for row in EVALUATIONS])
def test_protocols_are_what_the_sources_say(name: str, wanted: dict[str, Any], source: str) -> None:
    assert {path: value_at(PROTOCOLS[name].training, path) for path in wanted} == wanted, source


def families(name: str) -> list[Any]:
    """Return what a protocol draws, part by part.

    The families of siamese augmentation, or the name of another.
    """
    augmentation = PROTOCOLS[name].training.augmentation
    parts = augmentation.augmentations if isinstance(augmentation, Chain) else (augmentation,)
    return [p.families if isinstance(p, SiameseAugmentation) else type(p).__name__ for p in parts]


@pytest.mark.parametrize(
    ("name", "drawn", "source"),
    [
        ("dc", ["NoAugmentation"], DC + "utils.py:437"),
        ("dc-mnist", ["OneMove"], DC + "utils.py:440"),
        ("dsa", [FAMILIES], DC + "readme.md:110"),
        ("cafe", ["NoAugmentation"], "kaiwang960112/CAFE distill.py:179"),
        ("linba", ["NoAugmentation"], LINBA + "tools/trainer.py:52"),
        (
            "idc",
            [("flip",), ("color",), ("crop", "scale", "rotate"), "CutMix"],
            IDC + "argument.py:245-295, misc/augment.py:57-80",
        ),
        ("idc-mnist", [("flip",), ("color",), ("crop", "scale", "rotate")], IDC + "test.py:53-56"),
        ("datm", [FAMILIES], DATM),
        ("it-gan", [FAMILIES], "VICO-UoE/IT-GAN ITGAN_Evaluate.py:35-43"),
        ("frepo", [FAMILIES], FREPO + "script/eval.py:167-169"),
        ("frepo-grey", [tuple(f for f in FAMILIES if f != "flip")], FREPO + "script/eval.py:164-166"),
    ],
)
def test_protocols_draw_what_the_sources_draw(name: str, drawn: list[Any], source: str) -> None:
    assert families(name) == drawn, source


def test_frepo_and_it_gan_evaluate_on_networks_of_their_own() -> None:
    plain = ConvNet(width=128, depth=None, norm="instance", init="uniform")
    own = {
        "frepo": ConvNet(
            width=128, norm="none", widening=2, init="lecun"
        ),  # yongchaoz/FRePo lib/models/networks.py:215-232
        "frepo-grey": ConvNet(width=128, norm="none", widening=2, init="lecun"),
        "it-gan": ResNet18(norm="batch"),  # VICO-UoE/IT-GAN ITGAN_Evaluate.py:14
    }
    usual = {n: suited_architecture(p.network, ImageSpec((3, 32, 32), 1, (0,))) for n, p in PROTOCOLS.items()}
    assert usual == dict.fromkeys(PROTOCOLS, plain) | own
    strengths = PROTOCOLS["frepo"].training.augmentation
    assert isinstance(strengths, SiameseAugmentation)
    assert (strengths.brightness, strengths.scale, strengths.cutout) == (
        2 * 0.25,
        1.25,
        1 / 4,
    )  # lib/dataset/augmax/export.py:22-29


def test_frepo_evaluates_by_the_number_of_examples() -> None:
    training = PROTOCOLS["frepo"].training  # yongchaoz/FRePo script/eval.py:208
    published = {10: 1000, 100: 2000, 200: 20_000, 400: 5000, 500: 5000, 1000: 10_000, 2000: 40_000, 5000: 40_000}
    assert {n: training.updates_for(n) for n in published} == published


@pytest.mark.parametrize(
    ("name", "total", "source"),
    [
        ("rfad", 5120, "yolky/RFAD run_distillation.py"),
        ("kip", 5000, "google-research kip/KIP.ipynb"),
        ("dd", 1024, "SsnL/dataset-distillation base_options.py:212"),
        ("frepo", 1024, FREPO + "script/distill.py:64"),
        ("rcig", 1024, RCIG + "distill_dataset.py:87"),
        ("psg", 256, "DingfanChen/Private-Set main.py:48"),
        ("gtn", 128, "uber-research/GTN experiments/cgtn.json"),
    ],
)
@pytest.mark.parametrize("classes", [3, 10])
def test_the_real_batch_does_not_grow_with_the_classes(
    digits: dd.TargetData, name: str, total: int, source: str, classes: int
) -> None:
    """Ask a published matching for its terms.

    Write down how many real examples it wants of each class.
    """
    method = build_method(name, ipc=1, preset="paper")
    method = method if name == "kip" else method.on_networks("mlp(width=2)")
    if hasattr(method.matching, "inner_steps"):
        method = dd.override(method, "matching.inner_steps", 1)
    assert method.matching is not None
    run = started(digits.of_classes(range(classes)), factorization=Pixels(ipc=1), networks=method.networks)
    asked: list[Any] = []

    def caught(*given: Any) -> Any:
        asked.append(next(g for g in given if isinstance(g, int) or (isinstance(g, dict) and isinstance(g[0], int))))
        raise InterruptedError

    run.real.batch = run.real.gradients = caught  # type: ignore[method-assign, assignment]
    with pytest.raises(InterruptedError):
        list(method.matching.terms(run, method.matching.start(run)))
    assert sum(asked[0].values()) == total, source
    assert max(asked[0].values()) - min(asked[0].values()) <= 1


def test_a_total_is_what_the_real_data_is_asked_for(few_digits: dd.TargetData) -> None:
    run = started(few_digits)
    asked: list[int] = []
    answer = run.real.gradients
    matching = GradientMatching(groups="joint", real_total=20)

    def counted(*given: Any) -> Any:
        for gradients in answer(*given):
            asked.append(gradients.count)
            yield gradients

    run.real.gradients = counted  # type: ignore[method-assign]
    list(matching.terms(run, matching.start(run)))
    assert asked == [20]
    few = GradientMatching(real_total=2)  # one of each class at least
    asked.clear()
    list(few.terms(run, few.start(run)))
    assert asked == [1, 1, 1]


def test_kip_with_pooling_has_the_kernel_of_the_second_paper() -> None:
    """google-research kip/nn_training.ipynb: ConvNet with depth=3 and prepend_conv_layer."""
    matching = dd.methods.METHODS["kip"].build(ipc=1, preset="paper", kernel="conv-pool").matching
    kernel = AnalyticKernel("ntk", "conv", 4, 2**0.5, 0.1, 3, pooling="average", unpooled=1, readout="flatten")
    assert isinstance(matching, KernelRegression) and matching.kernel == kernel
    with pytest.raises(UnknownNameError, match="conv-pool"):
        dd.methods.METHODS["kip"].build(ipc=1, preset="paper", kernel="rbf")


@pytest.mark.parametrize(
    ("data", "ipc", "inner_steps", "first", "steps"),
    [("mnist", 1, 1 * 3, 0.02, 400 * 59), ("cifar10", 10, 10 * 3, 0.001, 400 * 49)],
)
def test_dd_with_a_fixed_initialisation(data: str, ipc: int, inner_steps: int, first: float, steps: int) -> None:
    """SsnL/dataset-distillation README.md:77-91: one known network, distill_steps times epochs."""
    method = dd.methods.METHODS["dd"].build(ipc=ipc, preset="paper", data=data, start="fixed")
    matching = method.matching
    assert isinstance(method.networks, OneNetwork)
    assert isinstance(matching, UnrolledTraining)
    assert (matching.inner_steps, matching.synthetic_batch, matching.order) == (inner_steps, 1, "fixed")
    assert (matching.step_sizes.initial, matching.step_sizes.learned, method.steps) == (first, "per_step", steps)
    assert (matching.momentum, matching.real_total, matching.loss) == (0.0, 1024, "cross_entropy")
    assert isinstance(method.factorization, Pixels) and method.factorization.init == "noise"
    assert (method.optimiser.learning_rate, method.optimiser.betas) == (0.01, (0.5, 0.999))
    assert (method.optimiser.drops, method.optimiser.drop) == (tuple(i / 10 for i in range(1, 10)), 0.5)

"""Short trainings as other libraries write them, with any class of optimizer.

Each program trains on fixed data in float64, so that two optimizers with the same
formula end with the same losses. ``halves`` says how it is interrupted: the first half
stores what the library stores, the second half starts from that.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PROGRAMS", "Program", "Training"]

STEPS = 12
SETTINGS: dict[str, Any] = {"lr": 1e-2, "weight_decay": 1e-2}
Optimizer = type[torch.optim.Optimizer]


@dataclass(frozen=True)
class Training:
    """One run: which optimizer, for how long, from where and to where.

    ``start`` is a folder that an earlier run of ``stop`` steps has written to ``end``.
    """

    kind: Optimizer
    end: Path
    start: Path | None = None
    stop: int = STEPS

    def steps(self) -> range:
        """Return the numbers of the steps, from 0."""
        return range(self.stop) if self.start is None else range(STEPS // 2, self.stop)

    def optimizer(self, parameters: Any, **more: Any) -> torch.optim.Optimizer:
        """Return the optimizer of the settings that all programs have."""
        return self.kind(parameters, **SETTINGS, **more)


@dataclass(frozen=True)
class Program:
    """A training, and where it comes from.

    Parameters
    ----------
    library : str
        Its package, as it is installed.
    what : str
        What is run.
    train : function
        Runs a training and returns its losses.
    resumes : bool
        Whether the library stores and loads what the optimizer remembers.
    modules : tuple of str
        What it imports.
    """

    library: str
    what: str
    train: Callable[[Training], list[float]]
    resumes: bool = True
    modules: tuple[str, ...] = ()


def network(seed: int = 0) -> nn.Sequential:
    """Return a small network in float64, the same for each call."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).double()


def batch(step: int, size: int = 16) -> tuple[Tensor, Tensor]:
    """Return inputs and labels of a step."""
    generator = torch.Generator().manual_seed(step)
    inputs = torch.randn(size, 6, generator=generator, dtype=torch.float64)
    return inputs, inputs[:, :3].argmax(dim=1)


@contextmanager
def float64() -> Iterator[None]:
    """Make float64 the type of what a library makes."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def loop(
    model: nn.Module,
    optimizer: Any,
    training: Training,
    backward: Callable[[Tensor], None] = Tensor.backward,
) -> list[float]:
    """Train with a plain loop; store and load model and optimizer with torch."""
    if training.start is not None:
        saved = torch.load(training.start / "run.pt", weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
    losses = []
    for step in training.steps():
        inputs, labels = batch(step)
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(inputs), labels)
        backward(loss)
        optimizer.step()
        losses.append(loss.item())
    torch.save(
        {"model": model.state_dict(), "optimizer": optimizer.state_dict()},
        training.end / "run.pt",
    )
    return losses


def transformers_trainer(training: Training) -> list[float]:
    """A tiny GPT-2 with the Trainer: linear schedule to zero, clipping, two groups."""
    import transformers

    transformers.logging.set_verbosity_error()
    config = transformers.GPT2Config(
        vocab_size=30, n_positions=8, n_embd=16, n_layer=1, n_head=2
    )
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config).double().eval()
    # In evaluation mode nothing is dropped: the Trainer itself calls train().
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    words = np.random.default_rng(0).integers(0, 30, (2 * STEPS, 8))
    data = [{"input_ids": row, "labels": row} for row in torch.from_numpy(words)]
    arguments = transformers.TrainingArguments(
        output_dir=str(training.end),
        max_steps=STEPS,
        per_device_train_batch_size=2,
        lr_scheduler_type="linear",
        warmup_steps=2,
        max_grad_norm=0.5,
        logging_steps=1,
        save_steps=STEPS // 2,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        learning_rate=SETTINGS["lr"],
        weight_decay=SETTINGS["weight_decay"],
    )
    trainer = transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=data,
        optimizer_cls_and_kwargs=(training.kind, {"lr": SETTINGS["lr"]}),
    )
    if training.stop < STEPS:
        trainer.add_callback(stop_at(training.stop))
    start = training.start
    where = None if start is None else str(start / f"checkpoint-{STEPS // 2}")
    trainer.train(resume_from_checkpoint=where)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    losses = losses if start is None else losses[STEPS // 2 :]
    # The Trainer rounds its losses to four digits; the parameters have all of them.
    return [*losses, float(sum(p.detach().abs().sum() for p in model.parameters()))]


def stop_at(stop: int) -> Any:
    """Return a callback that ends the Trainer's run early, its schedule as planned."""
    import transformers

    class Stop(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, _: Any, state: Any, control: Any, **_more: Any) -> Any:
            control.should_training_stop = state.global_step >= stop
            return control

    return Stop()


def accelerate_loop(training: Training) -> list[float]:
    """A loop with Accelerate: accumulation, clipping, a schedule, and its state."""
    import accelerate

    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = network()
    optimizer = training.optimizer(model.parameters())
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
    model, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    if training.start is not None:
        accelerator.load_state(str(training.start / "state"))
    losses = []
    for step in training.steps():
        for part in range(2):
            with accelerator.accumulate(model):
                inputs, labels = batch(2 * step + part)
                loss = functional.cross_entropy(model(inputs), labels)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 0.5)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
            losses.append(loss.item())
    accelerator.save_state(str(training.end / "state"))
    accelerator.free_memory()
    return losses


def lightning_trainer(training: Training) -> list[float]:
    """A module of Lightning: clipping, OneCycleLR in each step, its checkpoint."""
    import lightning

    losses: list[float] = []

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = network()

        def training_step(self, batch: Any, _: int) -> Tensor:
            loss = functional.cross_entropy(self.model(batch[0]), batch[1])
            losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = training.optimizer(self.parameters())
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, SETTINGS["lr"], total_steps=STEPS + 1
            )
            each = {"scheduler": schedule, "interval": "step"}
            return {"optimizer": optimizer, "lr_scheduler": each}

    data = [batch(step) for step in range(STEPS)]
    # A new epoch for each half, so that the second reads the other half of the data.
    halves = data[: STEPS // 2], data[STEPS // 2 :]
    with float64():
        trainer = lightning.Trainer(
            max_epochs=1 if training.stop < STEPS else 2,
            gradient_clip_val=0.5,
            reload_dataloaders_every_n_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=str(training.end),
        )
        module = Module()
        module.train_dataloader = lambda: torch.utils.data.DataLoader(
            cast(Any, halves[trainer.current_epoch]), batch_size=None
        )
        start = None if training.start is None else str(training.start / "run.ckpt")
        trainer.fit(module, ckpt_path=start, weights_only=False)
        trainer.save_checkpoint(training.end / "run.ckpt")
    return losses


def skorch_classifier(training: Training) -> list[float]:
    """A classifier of skorch, with its parameters per layer, and its checkpoint."""
    import skorch

    net = skorch.NeuralNetClassifier(
        network,
        max_epochs=1,
        batch_size=-1,
        optimizer=training.kind,
        optimizer__param_groups=[("0.*", {"lr": 1e-3})],
        train_split=None,
        verbose=0,
        criterion=nn.CrossEntropyLoss,
        **{f"optimizer__{name}": value for name, value in SETTINGS.items()},
    )
    net.initialize()
    names = {"f_params": "p.pt", "f_optimizer": "o.pt", "f_history": "h.json"}
    if training.start is not None:
        net.load_params(**{k: str(training.start / v) for k, v in names.items()})
    for step in training.steps():
        inputs, labels = batch(step)
        net.partial_fit(inputs.numpy(), labels.numpy())
    net.save_params(**{k: str(training.end / v) for k, v in names.items()})
    losses: list[float] = net.history[:, "train_loss"]
    return losses[-len(training.steps()) :]


def geometric_network(training: Training) -> list[float]:
    """A graph network of PyTorch Geometric."""
    from torch_geometric.nn import GCNConv

    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(0, 16, (2, 60), generator=generator)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = GCNConv(6, 8), GCNConv(8, 3)

        def forward(self, inputs: Tensor) -> Any:
            return self.last(self.first(inputs, edges).relu(), edges)

    model = Net().double()
    return loop(model, training.optimizer(model.parameters()), training)


def sharpness_aware(training: Training) -> list[float]:
    """SAM around the optimizer, from pytorch_optimizer: it hands on its own groups."""
    from pytorch_optimizer import SAM

    model = network()
    optimizer = SAM(
        model.parameters(), base_optimizer=training.kind, rho=0.05, **SETTINGS
    )
    if training.start is not None:
        saved = torch.load(training.start / "run.pt", weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.base_optimizer.load_state_dict(saved["optimizer"])
    losses = []
    for step in training.steps():
        inputs, labels = batch(step)
        for move in (optimizer.first_step, optimizer.second_step):
            loss = functional.cross_entropy(model(inputs), labels)
            loss.backward()
            move(zero_grad=True)
            losses.append(loss.item())
    torch.save(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.base_optimizer.state_dict(),
        },
        training.end / "run.pt",
    )
    return losses


def lookahead(training: Training) -> list[float]:
    """Lookahead around the optimizer, from pytorch_optimizer."""
    from pytorch_optimizer import Lookahead

    model = network()
    base = training.optimizer(model.parameters())
    return loop(model, Lookahead(base, k=3, alpha=0.5), training)


def low_rank_on_frozen_bytes(training: Training) -> list[float]:
    """LoRA of PEFT on a base that is frozen in 8 bits, all handed to the optimizer."""
    from peft import LoraConfig, get_peft_model

    class Frozen(nn.Module):
        """A layer of bytes, as a base in 4 or 8 bits keeps them."""

        def __init__(self, layer: nn.Linear) -> None:
            super().__init__()
            scale = layer.weight.detach().abs().max() / 127
            self.scale = float(scale)
            self.bytes = nn.Parameter(
                (layer.weight.detach() / scale).round().to(torch.int8), False
            )

        def forward(self, x: Tensor) -> Tensor:
            return x @ (self.bytes.to(x.dtype) * self.scale).T

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            first, _, last = network()
            self.base, self.last = Frozen(cast(nn.Linear, first)), last

        def forward(self, x: Tensor) -> Any:
            return self.last(self.base(x).tanh())

    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules=["last"], init_lora_weights=True)
    model = get_peft_model(Model(), config).double()
    for module in model.modules():
        if isinstance(module, Frozen):
            module.bytes.data = module.bytes.data.to(torch.int8)
    assert any(p.dtype == torch.int8 for p in model.parameters())
    return loop(model, training.optimizer(model.parameters()), training)


def private_gradients(training: Training) -> list[float]:
    """Opacus around the optimizer: gradients per example, clipped, without noise."""
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    model = GradSampleModule(network())
    optimizer = DPOptimizer(
        training.optimizer(model.parameters()),
        noise_multiplier=0.0,
        max_grad_norm=0.5,
        expected_batch_size=16,
    )
    return loop(model, optimizer, training)


def proximal_policy(training: Training) -> list[float]:
    """PPO of Stable-Baselines3 on the cart, with the optimizer of its policy."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.torch_layers import FlattenExtractor

    class InFloat64(FlattenExtractor):  # type: ignore[misc]
        """What the environment shows is float32."""

        def forward(self, observations: Tensor) -> Any:
            return super().forward(observations).double()

    with float64():
        torch.manual_seed(0)
        model = PPO(
            "MlpPolicy",
            "CartPole-v1",
            n_steps=64,
            batch_size=32,
            n_epochs=2,
            seed=0,
            device="cpu",
            learning_rate=1e-3,
            policy_kwargs={
                "optimizer_class": training.kind,
                "optimizer_kwargs": {"eps": 1e-5},
                "net_arch": [8],
                "features_extractor_class": InFloat64,
            },
        )
        model.learn(256)
    return [float(p.detach().abs().sum()) for p in model.policy.parameters()]


def grouped_by_dictionary(training: Training) -> list[float]:
    """TorchRL's group_optimizers: two optimizers become one, a schedule acts on it."""
    from torchrl.objectives.utils import group_optimizers

    model = network()
    first, _, last = model
    optimizer = group_optimizers(
        training.optimizer(first.parameters()), training.optimizer(last.parameters())
    )
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.5)
    return loop(model, optimizer, training)


def schedule_to_zero(training: Training) -> list[float]:
    """Plain PyTorch: a schedule that falls to zero, and an average of the weights."""
    model = network()
    optimizer = training.optimizer(model.parameters())
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS // 2)
    average = torch.optim.swa_utils.AveragedModel(model)

    class Both:
        zero_grad, state_dict = optimizer.zero_grad, optimizer.state_dict
        load_state_dict = optimizer.load_state_dict

        def step(self) -> None:
            optimizer.step()
            if training.start is None:
                schedule.step()
            average.update_parameters(model)

    losses = loop(model, Both(), training)
    return [*losses, float(next(average.parameters()).sum())]


def deep_copy(training: Training) -> list[float]:
    """Plain PyTorch: model and optimizer are copied in mid-run, as searches do."""
    model = network()
    optimizer = training.optimizer(model.parameters())
    model, optimizer = copy.deepcopy((model, optimizer))
    losses = loop(model, optimizer, training)
    assert all(math.isfinite(loss) for loss in losses)
    return losses


PROGRAMS = (
    Program(
        "transformers",
        "Trainer: GPT-2, warm-up and linear schedule, clipping",
        transformers_trainer,
        modules=("transformers", "accelerate"),
    ),
    Program(
        "accelerate",
        "prepare, accumulation, clipping, LinearLR, save_state",
        accelerate_loop,
        modules=("accelerate",),
    ),
    Program(
        "lightning",
        "Trainer: clipping, OneCycleLR, ckpt_path",
        lightning_trainer,
        modules=("lightning",),
    ),
    Program(
        "skorch",
        "NeuralNetClassifier: groups by name, save_params",
        skorch_classifier,
        modules=("skorch",),
    ),
    Program(
        "torch_geometric",
        "a graph network",
        geometric_network,
        modules=("torch_geometric",),
    ),
    Program(
        "pytorch_optimizer",
        "SAM around the optimizer",
        sharpness_aware,
        modules=("pytorch_optimizer",),
    ),
    Program(
        "pytorch_optimizer",
        "Lookahead around the optimizer",
        lookahead,
        modules=("pytorch_optimizer",),
    ),
    Program(
        "peft",
        "LoRA beside a base frozen in 8 bits",
        low_rank_on_frozen_bytes,
        modules=("peft",),
    ),
    Program(
        "opacus",
        "DPOptimizer: gradients clipped per example",
        private_gradients,
        modules=("opacus",),
    ),
    Program(
        "stable_baselines3",
        "PPO on CartPole",
        proximal_policy,
        resumes=False,
        modules=("stable_baselines3",),
    ),
    Program(
        "torchrl",
        "group_optimizers and a schedule",
        grouped_by_dictionary,
        modules=("torchrl",),
    ),
    Program("torch", "LinearLR to zero, AveragedModel", schedule_to_zero),
    Program("torch", "deepcopy of model and optimizer", deep_copy),
)

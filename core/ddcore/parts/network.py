"""`Network`: a classifier that also gives its inner features. It wraps any module."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from weakref import WeakSet

import torch
from torch import Tensor, nn

from ddcore.errors import UnknownNameError, UnsupportedError

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Hardswish)

_WRAPPED: WeakSet[nn.Module] = WeakSet()


class Network(nn.Module):
    """A classifier that also gives its inner features.

    Args:
        module: maps ``n x ...`` to logits ``n x num_classes``.
        head: name of the submodule that classifies. Its input is the features.
    """

    def __init__(self, module: nn.Module, head: str) -> None:
        super().__init__()
        if module in _WRAPPED:
            raise UnsupportedError(
                "a network factory returned the same module twice: it must build a new one at each call"
            )
        _WRAPPED.add(module)
        self.module = module
        self.head = head
        self._head_input: Tensor | None = None
        self._listening = False
        self._features: Callable[[Tensor], Tensor] = self._compute_features
        self._map: tuple[Callable[[Tensor], Tensor], int] | None = None
        self._logits: Callable[[Tensor], Tensor] = self.forward
        module.get_submodule(head).register_forward_pre_hook(self._keep)

    def _keep(self, head: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self._listening:
            self._head_input = inputs[0]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits ``n x num_classes``."""
        logits: Tensor = self.module(inputs)
        return logits

    @property
    def feature_width(self) -> int:
        """Number of features of one example."""
        return self._width if self._map is None else self._map[1]

    @property
    def _width(self) -> int:
        return int(self._head_module.in_features)  # type: ignore[arg-type]

    @property
    def _head_module(self) -> nn.Module:
        return self.module.get_submodule(self.head)

    def features(self, inputs: Tensor) -> Tensor:
        """Return the classifier's input, flattened to ``n x d``, or what `mapped` makes of it."""
        features = self._features(inputs)
        return features if self._map is None else self._map[0](features)

    @contextmanager
    def mapped(self, function: Callable[[Tensor], Tensor] | None, width: int) -> Iterator[None]:
        """Inside the block `features` are ``function`` of the features: ``n x width``.

        None leaves them as they are.
        """
        before = self._map
        try:
            self._map = None if function is None else (function, width)
            yield
        finally:
            self._map = before

    def logits(self, inputs: Tensor) -> Tensor:
        """Return logits ``n x num_classes`` that can be differentiated once.

        That is enough for real examples. For second derivatives call ``network(inputs)``, since
        compiled code has none.
        """
        return self._logits(inputs)

    def compile_passes(self) -> None:
        """Compile `features` and `logits` by torch.compile.

        The compiled code stays valid when new weights are copied into this network.
        """
        self._features = torch.compile(self._compute_features, dynamic=False)
        self._logits = torch.compile(self.forward, dynamic=False)

    @contextmanager
    def differentiated(self, names: Sequence[str] = ()) -> Iterator[list[nn.Parameter]]:
        """Inside the block only the named weights take gradients. Yield them in this order."""
        weights = dict(self.module.named_parameters())
        before = [(w, w.requires_grad) for w in weights.values()]
        try:
            self.module.requires_grad_(False)
            chosen = [weights[name] for name in names]
            for weight in chosen:
                weight.requires_grad_(True)
            yield chosen
        finally:
            for weight, wanted in before:
                weight.requires_grad_(wanted)

    @contextmanager
    def holding(self, weights: Sequence[Tensor]) -> Iterator[None]:
        """Inside the block the network has these weights. After it, it has its own again.

        They are in the order of ``named_parameters()``.
        """
        held = list(self.module.parameters())
        before = [w.detach().clone() for w in held]
        try:
            self.copy_weights(weights)
            yield
        finally:
            self.copy_weights(before)

    def copy_weights(self, weights: Sequence[Tensor]) -> None:
        """Copy these weights into this network. They are in the order of ``named_parameters()``."""
        with torch.no_grad():
            for held, new in zip(self.module.parameters(), weights, strict=True):
                held.copy_(new)

    def trained(self) -> AbstractContextManager[list[nn.Parameter]]:
        """Inside the block all weights take gradients. Yield them."""
        return self.differentiated([name for name, _ in self.module.named_parameters()])

    def require_statistics(self) -> None:
        """Raise `UnsupportedError` if a BatchNorm has no running statistics to freeze."""
        self._refuse_batch_norm(lambda norm: norm.running_mean is None)

    def require_independent_examples(self) -> None:
        """Raise `UnsupportedError` if a BatchNorm takes its statistics from the batch at hand."""
        self._refuse_batch_norm(lambda norm: norm.training or norm.running_mean is None)

    def _refuse_batch_norm(self, refused: Callable[[nn.modules.batchnorm._BatchNorm], bool]) -> None:
        for name, module in self.module.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and refused(module):
                raise UnsupportedError(
                    f"BatchNorm {name!r} takes its statistics from the batch at hand, so one class would leak into another "
                    "and results would depend on how batches are cut: freeze it (.eval()), or use norm='instance'"
                )

    def features_and_logits(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features ``n x d`` and the logits ``n x num_classes`` of one forward pass."""
        self._listening = True
        logits = self.module(inputs)
        return self._take_head_input().flatten(1), logits

    def _compute_features(self, inputs: Tensor) -> Tensor:
        return self.features_and_logits(inputs)[0]

    def layers(self, inputs: Tensor, names: Sequence[str]) -> list[Tensor]:
        """Return the outputs of the named submodules, each flattened to ``n x d_l``.

        Of a submodule that runs several times it is the last output.
        """
        outputs = dict(self._outputs(inputs, names)[0])
        unreached = [name for name in names if name not in outputs]
        if unreached:
            raise UnsupportedError(f"the forward pass never reached the layer {unreached[0]!r}")
        return [outputs[name] for name in names]

    def activations(self, inputs: Tensor) -> list[Tensor]:
        """Return the outputs of all activation modules, then the features, each ``n x d_l``.

        They are in the order of the forward pass. A module that runs twice gives two outputs.
        """
        outputs, features = self._outputs(inputs, self.activation_names())
        return [*(output for _, output in outputs), features.flatten(1)]

    def activation_names(self) -> list[str]:
        """Return the names of the activation modules; `UnsupportedError` if there are none."""
        names = [name for name, module in self.module.named_modules() if isinstance(module, ACTIVATIONS)]
        if not names:
            raise UnsupportedError(
                f"{type(self.module).__name__} has no activation modules whose features could be aligned: use nn.ReLU "
                "modules instead of functions"
            )
        return names

    def _outputs(self, inputs: Tensor, names: Sequence[str]) -> tuple[list[tuple[str, Tensor]], Tensor]:
        modules = dict(self.module.named_modules())
        kept: list[tuple[str, Tensor]] = []
        for name in names:
            if name not in modules:
                raise UnknownNameError("layer", name, (n for n in modules if n))
        handles = [
            modules[n].register_forward_hook(lambda _m, _i, out, n=n: kept.append((n, out.flatten(1)))) for n in names
        ]
        self._listening = True
        try:
            self.module(inputs)
        finally:
            for handle in handles:
                handle.remove()
        return kept, self._take_head_input()

    def _take_head_input(self) -> Tensor:
        kept, self._head_input, self._listening = self._head_input, None, False
        if kept is None:
            raise UnsupportedError(f"the forward pass never reached the classifier {self.head!r}")
        return kept


class FeaturesAndLogits(Network):
    """A network whose features end with its logits: ``n x (d + num_classes)``."""

    @property
    def _width(self) -> int:
        return super()._width + int(self._head_module.out_features)  # type: ignore[arg-type]

    def _compute_features(self, inputs: Tensor) -> Tensor:
        return torch.cat(self.features_and_logits(inputs), dim=1)


def plain_copy(module: nn.Module) -> nn.Module:
    """Return a copy of ``module`` without the hooks of the `Network` that wraps it."""
    copied = deepcopy(module)
    for part in copied.modules():
        for key, hook in list(part._forward_pre_hooks.items()):
            if isinstance(getattr(hook, "__self__", None), Network):
                del part._forward_pre_hooks[key]
    return copied


def weights_sha256(module: nn.Module) -> str:
    """Return the SHA-256 of a module's weights and buffers: names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def find_head(module: nn.Module, shape: tuple[int, ...], num_classes: int) -> str:
    """Return the name of the linear layer that runs last.

    It is found by one forward pass on two examples of zeros.

    Raises:
        UnsupportedError: there is no linear layer, the module cannot take examples of ``shape``,
            or its output is not ``n x num_classes``.
    """
    last: list[str] = []
    handles = [
        m.register_forward_pre_hook(lambda _m, _i, n=name: last.append(n))
        for name, m in module.named_modules()
        if isinstance(m, nn.Linear)
    ]
    training = module.training
    parameter = next(module.parameters(), torch.empty(0))
    try:
        module.eval()
        with torch.no_grad():
            output = module(torch.zeros(2, *shape, dtype=parameter.dtype, device=parameter.device))
    except RuntimeError as error:
        raise UnsupportedError(
            f"the network cannot take examples of shape {shape} ({error}): give a function of (shape, num_classes) that "
            "builds one for them"
        ) from error
    finally:
        module.train(training)
        for handle in handles:
            handle.remove()
    if tuple(output.shape) != (2, num_classes):
        raise UnsupportedError(
            f"the network's output has shape {tuple(output.shape)} for 2 examples: {num_classes} logits each are needed: "
            f"build it for them, as resnet18(num_classes={num_classes}), or give the function resnet18"
        )
    if not last:
        raise UnsupportedError(
            "the network has no linear layer, so its features are not defined: end it with nn.Linear"
        )
    return last[-1]
